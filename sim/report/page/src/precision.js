// Numerical error by operation, and how --precision auto chose.
import * as Plot from '@observablehq/plot';
import {chart, element, legend, symbolPicture, table, value} from './elements.js';
import {count, number, percent, shortened, time} from './format.js';
import {studied} from './run_data.js';

const parts = [
  {key: 'quantisation', label: 'quantisation', symbol: 'triangle', color: 'var(--hbm)'},
  {key: 'accumulation', label: 'accumulation', symbol: 'square', color: 'var(--epilogue)'},
  {key: 'total', label: 'both: its own error', symbol: 'circle', color: 'var(--tensor_core)'},
  {key: 'propagated', label: 'with its input’s error', symbol: 'diamond', color: 'var(--barrier)'},
];

export function errors(run) {
  const layers = studied(run);
  const rows = layers.map((layer, i) => ({layer, row: `${i}`}));
  const points = rows.flatMap(({layer, row}) => parts
    .map(part => ({layer, row, part, x: layer.error[part.key].rel_rmse})).filter(p => p.x > 0));
  const least = Math.min(...points.map(p => p.x)), largest = Math.max(...points.map(p => p.x));
  const draw = width => {
    const most = width < 560 ? 16 : Math.min(34, Math.max(...layers.map(l => l.name.length)));
    return Plot.plot({
      width, height: 56 + rows.length * 24, marginLeft: 14 + most * 6.6, marginBottom: 40,
      marginTop: 8, marginRight: 20,
      x: {type: 'log', domain: [least / 1.5, largest * 1.5], grid: true,
        label: 'relative RMS error →', tickFormat: x => number(x), ticks: width < 560 ? 3 : 6},
      y: {domain: rows.map(r => r.row), label: null, tickSize: 0,
        tickFormat: row => shortened(layers[row].name, most)},
      symbol: {domain: parts.map(p => p.key), range: parts.map(p => p.symbol)},
      r: {type: 'identity'},
      marks: [
        Plot.ruleY(rows, {y: 'row', stroke: 'var(--line)'}),
        // Its own error is a ring, as it often lies on one of its parts.
        Plot.dot(points, {x: 'x', y: 'row', symbol: p => p.part.key,
          fill: p => p.part.key === 'total' ? 'none' : p.part.color,
          stroke: p => p.part.key === 'total' ? p.part.color : 'var(--surface)',
          strokeWidth: p => p.part.key === 'total' ? 2.2 : 1, r: p => p.part.key === 'total' ? 8 : 5,
          ariaLabel: p => `${p.layer.name} (${p.layer.precision}), ${p.part.label}: ` +
            `${number(p.x)}, ${number(p.layer.error[p.part.key].sqnr_db)} dB`}),
      ],
    });
  };
  const cell = key => l => value(l.error[key].rel_rmse, number(l.error[key].rel_rmse));
  return chart({
    title: 'Error by operation', draw: points.length > 0 ? draw : () => element('p', {class: 'note'},
      'No operation has an error.'),
    description: 'RMS of the error relative to that of the exact values, computed through the chip’s ' +
      'arithmetic on sampled tokens.',
    legend: legend(parts.map(p =>
      [symbolPicture(p.symbol, p.color, p.key === 'total'), p.label])), open: true,
    tables: [table('Numerical error by operation', [
      {title: 'Operation', left: true, of: l => l.name},
      {title: 'Precision', left: true, of: l => l.precision},
      {title: 'Quantisation', of: cell('quantisation')},
      {title: 'Accumulation', of: cell('accumulation')},
      {title: 'Own error', of: cell('total')},
      {title: 'With its input’s', of: cell('propagated')},
      {title: 'SQNR', of: l => value(l.error.total.sqnr_db, `${number(l.error.total.sqnr_db)} dB`)},
      {title: 'Underflow', of: l => value(l.error.input.underflow, percent(l.error.input.underflow))},
      {title: 'Sampled', of: l => value(l.error.sampled, count(l.error.sampled))},
    ], layers)],
  });
}

export function policy(decided) {
  const {curve} = decided;
  const read = p => `${time(p.time_us)}, error ${number(p.error)}: ${p.choice}` +
    (p.chosen ? ' (chosen)' : '');
  const draw = width => Plot.plot({
    width, height: 320, marginLeft: 60, marginBottom: 42, marginRight: 30,
    x: {label: 'time of the layers →', tickFormat: x => time(x), grid: true, nice: true,
      ticks: width < 560 ? 3 : 7},
    y: {label: '↑ predicted error of the layers’ output', grid: true, zero: true, nice: true},
    marks: [
      Plot.ruleY([decided.error_budget], {stroke: 'var(--hbm)', strokeDasharray: '6 4',
        strokeWidth: 1.5}),
      Plot.text([decided.error_budget], {frameAnchor: 'right', y: d => d, dy: -8, dx: -4,
        text: d => `budget ${number(d)}`, fill: 'var(--text)'}),
      Plot.line(curve, {x: 'time_us', y: 'error', curve: 'step-after', stroke: 'var(--muted)'}),
      Plot.dot(curve, {x: 'time_us', y: 'error', r: p => p.chosen ? 8 : 4,
        symbol: p => p.chosen ? 'star' : 'circle', fill: p => p.chosen ? 'var(--hbm)'
        : 'var(--tensor_core)', stroke: 'var(--surface)', ariaLabel: read}),
      Plot.text(curve.filter(p => p.chosen), {x: 'time_us', y: 'error', text: () => 'chosen',
        dy: 18, fill: 'var(--text)', stroke: 'var(--surface)', strokeWidth: 3}),
    ],
    symbol: {type: 'identity'}, r: {type: 'identity'},
  });
  const frontier = chart({
    title: 'Time against error', draw,
    description: 'Mixtures of precisions that nothing beats in both. The star is the one chosen: ' +
      'the fastest within the budget.',
    tables: [table('Mixtures that nothing beats', [
      {title: 'Time', of: p => value(p.time_us, time(p.time_us))},
      {title: 'Error', of: p => value(p.error, number(p.error))},
      {title: 'Mixture', left: true, of: p => p.choice},
      {title: 'Chosen', left: true, of: p => p.chosen ? 'chosen' : ''},
    ], curve)],
  });
  return element('div', {}, frontier, table('Why each operation has its precision', [
    {title: 'Operation', left: true, of: d => d.operation},
    {title: 'Layers', left: true, of: d => d.layers},
    {title: 'Precision', left: true, of: d => d.precision},
    {title: 'Reason', left: true, of: d => d.reason},
  ], decided.decisions));
}
