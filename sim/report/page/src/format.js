// Numbers as people read them. Every number of the page is written by one of these.

const digits = (value, places) =>
  value.toLocaleString('en-US', {minimumFractionDigits: places, maximumFractionDigits: places});

/** Three significant digits, with thousands separated. */
export function number(value) {
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 1000) return digits(value, 0);
  if (size >= 100) return digits(value, 0);
  if (size >= 10) return digits(value, 1);
  if (size >= 1) return digits(value, 2);
  if (size >= 0.001) return String(Number(value.toPrecision(3)));
  return value.toExponential(1).replace('e-', 'e−');
}

export const count = value => value.toLocaleString('en-US');

export function time(us) {
  if (us >= 1e6) return `${number(us / 1e6)} s`;
  if (us >= 1e3) return `${number(us / 1e3)} ms`;
  return `${number(us)} µs`;
}

export function bytes(value) {
  for (const [unit, size] of [['TB', 1e12], ['GB', 1e9], ['MB', 1e6], ['kB', 1e3]])
    if (value >= size) return `${number(value / size)} ${unit}`;
  return `${count(value)} B`;
}

export const percent = fraction => `${digits(fraction * 100, Math.abs(fraction) < 0.1 ? 1 : 0)} %`;

/** A signed difference. */
export const signed = (value, text) => (value > 0 ? '+' : value < 0 ? '−' : '±') +
  text(Math.abs(value));

export const change = (before, after) =>
  before > 0 ? signed(after / before - 1, f => `${digits(f * 100, 1)} %`) : '–';

/** Shortens in the middle: what tells names apart is often at their ends. */
export function shortened(text, most) {
  if (text.length <= most) return text;
  const tail = Math.floor((most - 1) / 2);
  return `${text.slice(0, most - 1 - tail)}…${text.slice(text.length - tail)}`;
}
