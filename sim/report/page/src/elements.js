// What all charts share: elements, figures with a table beside them, reading by pointer and keys.
import * as Plot from '@observablehq/plot';

/** element('p', {class: 'note'}, 'text', child ...) */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, '');
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.flat().filter(child => child != null));
  return made;
}

/** A number with its exact value for machines: <data value="0.5">50 %</data>. */
export const value = (exact, text) => element('data', {value: String(exact)}, text);

export const section = (id, title, ...children) =>
  element('section', {id, 'aria-labelledby': `${id}-title`},
    element('h2', {id: `${id}-title`}, title), ...children);

/**
 * columns: [{title, of: row => node or text, left: true for text}]. Long tables show `page` rows at
 * a time.
 */
export function table(caption, columns, rows, page = 300) {
  const body = element('tbody');
  let shown = 0;
  const row = item => element('tr', {}, columns.map((column, i) =>
    element(i === 0 ? 'th' : 'td', {scope: i === 0 ? 'row' : null,
      class: column.left ? 'left' : null}, column.of(item))));
  const status = element('p', {class: 'paging'});
  const more = element('button', {type: 'button', onclick: () => show()}, `Show ${page} more`);
  const show = () => {
    body.append(...rows.slice(shown, shown + page).map(row));
    shown = Math.min(rows.length, shown + page);
    status.replaceChildren(`${shown.toLocaleString('en-US')} of ` +
      `${rows.length.toLocaleString('en-US')} rows `, shown < rows.length ? more : '');
  };
  show();
  return element('div', {class: 'scroll', tabindex: 0, role: 'region', 'aria-label': caption},
    element('table', {}, element('caption', {}, caption),
      element('thead', {}, element('tr', {}, columns.map((column, i) =>
        element('th', {scope: 'col', class: column.left || i === 0 ? 'left' : null},
          column.title)))),
      body),
    rows.length > page ? status : null);
}

const marksOf = drawing => [...drawing.querySelectorAll('svg g > [aria-label]:not(g)')];

/** Centre of a mark, on the page. */
function centreOf(mark) {
  const box = mark.getBoundingClientRect();
  return [box.left + box.width / 2, box.top + box.height / 2];
}

/**
 * A chart: `draw(width)` returns its drawing, in which every mark to be read has an aria-label. The
 * pointer reads the mark it is on or near, arrow keys go through all of them; what is read stands
 * beside the mark and in a line below. `open`: the table is shown from the start.
 */
export function chart({title, description, draw, legend, controls, tables = [], open = false}) {
  const drawing = element('div', {class: 'drawing', tabindex: 0, role: 'group',
    'aria-roledescription': 'chart', 'aria-label': `${title}. Arrow keys read its marks.`});
  const readout = element('p', {class: 'readout', 'aria-live': 'polite'});
  const tip = element('div', {class: 'tip', 'aria-hidden': 'true'});
  let marks = [], centres = null, current = -1;

  const read = index => {
    if (marks[current]) marks[current].classList.remove('current');
    current = index;
    const mark = marks[index];
    if (!mark) {
      tip.classList.remove('shown');
      return;
    }
    mark.classList.add('current');
    const text = mark.getAttribute('aria-label');
    readout.textContent = text;
    tip.textContent = text;
    tip.classList.add('shown');
    const frame = figure.getBoundingClientRect(), box = mark.getBoundingClientRect();
    const middle = box.left + box.width / 2 - frame.left;
    const half = tip.offsetWidth / 2;
    tip.style.left = `${Math.max(half, Math.min(frame.width - half, middle))}px`;
    tip.style.top = `${box.top - frame.top}px`;
  };
  const render = () => {
    const width = Math.max(280, Math.floor(figure.clientWidth || 900));
    drawing.replaceChildren(draw(width));
    marks = marksOf(drawing);
    centres = null;
    current = -1;
    tip.classList.remove('shown');
  };

  drawing.addEventListener('pointermove', event => {
    const under = marks.indexOf(event.target.closest?.('[aria-label]:not(g)'));
    if (under >= 0) return read(under);
    // Page coordinates: scrolling does not outdate them.
    centres ??= marks.map(mark => {
      const [x, y] = centreOf(mark);
      return [x + scrollX, y + scrollY];
    });
    let nearest = -1, least = 20 * 20;
    centres.forEach(([x, y], i) => {
      const distance = (x - event.pageX) ** 2 + (y - event.pageY) ** 2;
      if (distance < least) [nearest, least] = [i, distance];
    });
    read(nearest);
  });
  drawing.addEventListener('pointerleave', () => read(-1));
  drawing.addEventListener('blur', () => read(-1));
  drawing.addEventListener('keydown', event => {
    const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
    if (event.key === 'Escape') return read(-1);
    if (marks.length === 0 || (step === undefined && event.key !== 'Home' && event.key !== 'End'))
      return;
    event.preventDefault();
    if (event.key === 'Home') read(0);
    else if (event.key === 'End') read(marks.length - 1);
    else read(current < 0 ? (step > 0 ? 0 : marks.length - 1)
      : (current + step + marks.length) % marks.length);
  });

  const figure = element('figure', {class: 'chart'},
    element('figcaption', {}, element('h3', {}, title),
      description ? element('p', {class: 'note'}, description) : null),
    controls, legend, drawing, tip, readout,
    tables.map(made => element('details', {open}, element('summary', {}, 'Table'), made)));
  figure.render = render;
  let width = 0;
  new ResizeObserver(() => {
    if (figure.clientWidth === width) return;
    width = figure.clientWidth;
    render();
  }).observe(figure);
  return figure;
}

/** A select with a label; `changed(value)` is called at each choice. */
export function choice(label, options, chosen, changed) {
  const select = element('select', {onchange: () => changed(select.value)},
    options.map(([key, text]) => element('option', {value: key, selected: key === chosen}, text)));
  return element('label', {class: 'choice'}, `${label} `, select);
}

/** entries: [[picture, text]] */
export const legend = entries => element('ul', {class: 'legend'},
  entries.map(([picture, text]) => element('li', {}, picture, text)));

export function swatch(fill) {
  const holder = element('span', {class: 'swatch', 'aria-hidden': 'true'});
  holder.innerHTML = `<svg width="26" height="14"><rect width="26" height="14" fill="${fill}"/></svg>`;
  return holder;
}

export function symbolPicture(symbol, color, hollow = false) {
  const holder = element('span', {class: 'swatch', 'aria-hidden': 'true'});
  holder.append(Plot.plot({width: 18, height: 14, margin: 0, axis: null,
    marks: [Plot.dot([0], {x: () => 9, y: () => 7, symbol, r: 5, fill: hollow ? 'none' : color,
      stroke: hollow ? color : null, strokeWidth: 2})],
    x: {type: 'identity'}, y: {type: 'identity'}}));
  return holder;
}
