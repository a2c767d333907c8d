// A form of RJSF, as an engine in a browser would mount it.
import { createRoot } from 'react-dom/client';
import Ajv2020 from 'ajv/dist/2020';
import Form from '@rjsf/core';
import { customizeValidator } from '@rjsf/validator-ajv8';
import { uiSchema } from './adapter.js';

const validator = customizeValidator({ AjvClass: Ajv2020 });

window.mount = ({ schema, layout, data }) => createRoot(document.querySelector('#form')).render(
  <Form schema={schema} uiSchema={uiSchema(layout)} formData={data} validator={validator} liveValidate showErrorList={false} />,
);
