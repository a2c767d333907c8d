// A form of JSON Forms, as an engine in a browser would mount it.
import { useState } from 'react';
import { createRoot } from 'react-dom/client';
import Ajv2020 from 'ajv/dist/2020';
import addFormats from 'ajv-formats';
import { JsonForms } from '@jsonforms/react';
import { vanillaCells, vanillaRenderers } from '@jsonforms/vanilla-renderers';
import { materialCells, materialRenderers } from '@jsonforms/material-renderers';

const ajv = new Ajv2020({ allErrors: true, verbose: true, strict: false });
addFormats(ajv);
ajv.addFormat('password', true);

const looks = {
  vanilla: { renderers: vanillaRenderers, cells: vanillaCells },
  material: { renderers: materialRenderers, cells: materialCells },
};

function Form({ look, schema, layout, data }) {
  const [value, setValue] = useState(data);
  return (
    <JsonForms schema={schema} uischema={layout} data={value} ajv={ajv} {...looks[look]}
      onChange={({ data, errors }) => { setValue(data); window.errors = errors.map((e) => e.instancePath); }} />
  );
}

window.mount = (form) => createRoot(document.querySelector('#form')).render(<Form {...form} />);
