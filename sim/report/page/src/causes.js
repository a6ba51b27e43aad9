// The causes of core-cycles, as the report lists them, and how they look: a colour and a pattern
// each, so that they are told apart without colour. Work is blue and green, waiting warm, what no
// block could use grey.

export const causes = [
  {key: 'tensor_core', label: 'tensor core', pattern: 'solid'},
  {key: 'scratchpad', label: 'scratchpad', pattern: 'dots'},
  {key: 'vector', label: 'vector', pattern: 'up'},
  {key: 'special_function', label: 'special function', pattern: 'grid'},
  {key: 'epilogue', label: 'epilogue', pattern: 'horizontal'},
  {key: 'hbm', label: 'HBM', pattern: 'down'},
  {key: 'l2', label: 'L2', pattern: 'vertical'},
  {key: 'noc', label: 'network', pattern: 'cross'},
  {key: 'barrier', label: 'barrier', pattern: 'zigzag'},
  {key: 'pipeline', label: 'pipeline', pattern: 'rings'},
  {key: 'link', label: 'link', pattern: 'wide'},
  {key: 'launch', label: 'launch', pattern: 'sparse'},
  {key: 'idle', label: 'idle', pattern: 'empty'},
];

export const causeOf = new Map(causes.map(c => [c.key, c]));

/** What bounds an operation: a colour of the cause it stands for, and a symbol. */
export const bounds = {
  compute: {color: 'var(--tensor_core)', fill: 'url(#p-tensor_core)', symbol: 'circle'},
  hbm: {color: 'var(--hbm)', fill: 'url(#p-hbm)', symbol: 'triangle'},
  l2: {color: 'var(--l2)', fill: 'url(#p-l2)', symbol: 'square'},
  noc: {color: 'var(--noc)', fill: 'url(#p-noc)', symbol: 'cross'},
  latency: {color: 'var(--barrier)', fill: 'url(#p-barrier)', symbol: 'diamond'},
  link: {color: 'var(--link)', fill: 'url(#p-link)', symbol: 'star'},
};

export const fillOf = key => `url(#p-${key})`;

const strokes = {
  solid: '',
  dots: '<circle cx="3" cy="3" r="1.2" class="ink"/>',
  up: '<path d="M0 8L8 0M-2 2L2 -2M6 10L10 6" class="line"/>',
  down: '<path d="M0 0L8 8M-2 6L2 10M6 -2L10 2" class="line"/>',
  grid: '<path d="M4 0V8M0 4H8" class="line"/>',
  horizontal: '<path d="M0 4H8" class="line"/>',
  vertical: '<path d="M4 0V8" class="line"/>',
  cross: '<path d="M0 0L8 8M0 8L8 0" class="line"/>',
  zigzag: '<path d="M0 6L4 2L8 6" class="line"/>',
  rings: '<circle cx="4" cy="4" r="2" class="line"/>',
  wide: '<path d="M0 2H8M0 6H4" class="line"/>',
  sparse: '<circle cx="4" cy="4" r="1.6" class="ink"/>',
  empty: '',
};

/** The patterns, as one drawing without a size that every chart of the page refers to. */
export function patterns() {
  const all = causes.map(({key, pattern}) => {
    const size = pattern === 'dots' ? 6 : 8;
    return `<pattern id="p-${key}" width="${size}" height="${size}" patternUnits="userSpaceOnUse">` +
      `<rect width="${size}" height="${size}" fill="var(--${key})"/>${strokes[pattern]}</pattern>`;
  });
  const holder = document.createElement('div');
  holder.className = 'patterns';
  holder.setAttribute('aria-hidden', 'true');
  holder.innerHTML = `<svg width="0" height="0"><defs>${all.join('')}</defs></svg>`;
  return holder;
}
