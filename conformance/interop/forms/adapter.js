// What RJSF needs to show a descriptor: the order of the fields, and the looks
// that the layout asks for. Its tabs stay one page.
export function uiSchema(layout) {
  const ui = { 'ui:order': [] };
  const walk = (element) => {
    element.elements?.forEach(walk);
    if (element.type !== 'Control') return;
    const name = element.scope.slice('#/properties/'.length);
    ui['ui:order'].push(name);
    const { format, multi } = element.options ?? {};
    if (format || multi) ui[name] = { 'ui:widget': multi ? 'textarea' : format };
  };
  walk(layout);
  return ui;
}
