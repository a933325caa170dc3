/** Small hands for SVG elements: make one, set what differs. */

const NAMESPACE = 'http://www.w3.org/2000/svg';

export type Attributes = Record<string, string | number>;

/** A new element. */
export function make<Name extends keyof SVGElementTagNameMap>(name: Name, attributes: Attributes = {}, ...children: Node[]): SVGElementTagNameMap[Name] {
  const element = document.createElementNS(NAMESPACE, name);
  set(element, attributes);
  element.append(...children);
  return element;
}

/** Sets the attributes that differ, so that an unchanged picture costs nothing. */
export function set(element: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    const text = typeof value === 'number' ? String(Math.round(value * 100) / 100) : value;
    if (element.getAttribute(name) !== text) element.setAttribute(name, text);
  }
}

/** Sets a text that differs. */
export function write(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Makes an element do something by pointer and by Enter or Space, as a button does. */
export function press(element: SVGElement, act: (event: MouseEvent | KeyboardEvent) => void): void {
  element.addEventListener('click', (event) => act(event));
  element.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' && event.key !== ' ') return;
    event.preventDefault();
    event.stopPropagation();
    if (!event.repeat) act(event);
  });
}
