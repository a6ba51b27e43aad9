// The page of a sweep: its points on axes of choice, the Pareto front, sensitivities.
import * as Plot from '@observablehq/plot';
import {bounds} from './causes.js';
import {chart, choice, element, legend, section, symbolPicture, table, value} from './elements.js';
import {count, number, percent, time} from './format.js';

const palette = ['tensor_core', 'hbm', 'vector', 'barrier', 'noc', 'epilogue', 'launch', 'link']
  .map(key => `var(--${key})`);
const symbols = ['circle', 'triangle', 'square', 'diamond', 'cross', 'star', 'wye', 'times'];

function textOf(column, raw) {
  if (raw === null || raw === undefined) return '–';
  if (column.kind !== 'number') return String(raw);
  if (column.unit === 'us') return time(raw);
  if (column.unit === 'fraction') return percent(raw);
  return Number.isInteger(raw) ? count(raw) : number(raw);
}

const titleOf = column => column.unit && column.unit !== 'us' && column.unit !== 'fraction'
  ? `${column.name} (${column.unit})` : column.name;

/** Points that nothing on the page beats, where both axes are objectives: the front as a line. */
function frontLine(points, x, y, goals) {
  if (!goals.has(x) || !goals.has(y) || x === y) return [];
  const sorted = points.filter(p => p[x] !== null && p[y] !== null)
    .sort((a, b) => (a[x] - b[x]) * (goals.get(x) === 'min' ? 1 : -1) ||
      (a[y] - b[y]) * (goals.get(y) === 'min' ? 1 : -1));
  const line = [];
  for (const p of sorted) {
    const best = line[line.length - 1];
    if (!best || (goals.get(y) === 'min' ? p[y] < best[y] : p[y] > best[y])) line.push(p);
  }
  return line;
}

function explorer(sweep, done) {
  const byName = new Map(sweep.columns.map(c => [c.name, c]));
  const numeric = sweep.columns.filter(c => c.kind === 'number' && done.some(p => p[c.name] !== null));
  const goals = new Map(sweep.objectives.map(o => [o.metric, o.goal]));
  const shown = sweep.columns.filter(c => c.role === 'axis' || goals.has(c.name));
  const axes = sweep.columns.filter(c => c.role === 'axis' && c.kind === 'number');
  const [first, second] = sweep.objectives.map(o => o.metric);
  const state = {x: second ? first : axes[0]?.name ?? first, y: second ?? first, by: 'bound',
    which: 'all', scale: 'linear'};
  const positive = name => done.every(p => p[name] === null || p[name] > 0);
  const read = p => `Point ${p.id}${p.pareto ? ' (Pareto front)' : ''}: ` + [...new Set([
    ...shown.map(c => c.name), state.x, state.y])].map(name => `${name} ` +
    textOf(byName.get(name), p[name])).join(', ') + `, bound by ${p.bound}`;
  const keys = element('div');

  const draw = width => {
    const {x, y, by} = state;
    const points = done.filter(p => p[x] !== null && p[y] !== null &&
      (state.which === 'all' || p.pareto));
    // The front is drawn last: on top.
    points.sort((a, b) => a.pareto - b.pareto || a.id - b.id);
    const column = byName.get(by);
    const sequential = column?.kind === 'number' && new Set(done.map(p => p[by])).size > 8;
    const values = by === 'bound' ? Object.keys(bounds)
      : [...new Set(done.map(p => p[by]))].sort((a, b) => a < b ? -1 : 1);
    const colorOf = p => by === 'bound' ? bounds[p.bound]?.color ?? 'var(--muted)'
      : palette[values.indexOf(p[by]) % palette.length];
    const symbolOf = p => by === 'bound' ? bounds[p.bound]?.symbol ?? 'circle'
      : symbols[values.indexOf(p[by]) % symbols.length];
    const present = values.filter(v => done.some(p => p[by] === v));
    keys.replaceChildren(sequential ? Plot.legend({color: {type: 'linear', scheme: 'viridis',
      domain: [Math.min(...values), Math.max(...values)], label: titleOf(column)}})
      : legend(present.map(v => [symbolPicture(symbolOf({[by]: v}), colorOf({[by]: v})),
        by === 'bound' ? `bound by ${v}` : `${by} ${column ? textOf(column, v) : v}`])));
    const scaleOf = name => ({type: state.scale === 'log' && positive(name) ? 'log' : 'linear',
      label: titleOf(byName.get(name)), grid: true, nice: true,
      tickFormat: v => textOf({...byName.get(name)}, v)});
    const line = frontLine(points, x, y, goals);
    return Plot.plot({
      width, height: Math.min(520, Math.max(320, width * 0.55)), marginLeft: 70, marginBottom: 44,
      marginRight: 24, x: {...scaleOf(x), ticks: width < 560 ? 3 : 7}, y: scaleOf(y),
      r: {type: 'identity'}, symbol: {type: 'identity'},
      ...(sequential ? {color: {type: 'linear', scheme: 'viridis'}} : {}),
      marks: [
        Plot.line(line, {x, y, stroke: 'var(--text)', strokeWidth: 1.5, curve: 'step-after',
          strokeDasharray: '5 3'}),
        Plot.dot(points, {x, y, r: p => p.pareto ? 6.5 : 3.2,
          symbol: sequential ? 'circle' : symbolOf, fill: sequential ? by : colorOf,
          fillOpacity: p => p.pareto ? 1 : 0.55, stroke: p => p.pareto ? 'var(--text)' : 'none',
          strokeWidth: 1.6, ariaLabel: read}),
      ],
    });
  };
  const options = numeric.map(c => [c.name, titleOf(c)]);
  const change = key => chosen => {
    state[key] = chosen;
    figure.render();
  };
  const colours = [['bound', 'bound'], ...sweep.columns.filter(c => c.role !== 'metric')
    .map(c => [c.name, c.name]), ...numeric.filter(c => c.role === 'metric')
    .map(c => [c.name, c.name])];
  const figure = chart({
    title: 'Points', draw, legend: keys,
    description: 'Each mark is a point of the sweep. Large marks with an edge are on the Pareto ' +
      `front of ${sweep.objectives.map(o => `${o.goal === 'min' ? 'least' : 'most'} ${o.metric}`)
        .join(' and ')}: no other point is better in one and not worse in all.`,
    controls: element('div', {class: 'controls'},
      choice('Across', options, state.x, change('x')), choice('Up', options, state.y, change('y')),
      choice('Colour and symbol', colours, state.by, change('by')),
      choice('Scales', [['linear', 'linear'], ['log', 'logarithmic']], state.scale,
        change('scale')),
      choice('Show', [['all', `all ${count(done.length)} points`], ['front', 'the Pareto front']],
        state.which, change('which'))),
  });
  return figure;
}

function pointsTable(sweep, done) {
  const order = [...sweep.columns.filter(c => c.role === 'axis'),
    ...sweep.columns.filter(c => c.role !== 'axis')];
  const state = {which: 'front', sort: sweep.objectives[0]?.metric ?? 'id'};
  const holder = element('div');
  const show = () => {
    const goal = sweep.objectives.find(o => o.metric === state.sort)?.goal;
    const sign = goal === 'max' ? -1 : 1;
    const rows = done.filter(p => state.which === 'all' || p.pareto).sort((a, b) =>
      (a[state.sort] < b[state.sort] ? -1 : a[state.sort] > b[state.sort] ? 1 : 0) * sign ||
      a.id - b.id);
    holder.replaceChildren(table(state.which === 'all' ? 'All points that are done'
      : 'The Pareto front', [
      {title: 'Point', of: p => value(p.id, count(p.id))},
      ...order.map(c => ({title: titleOf(c), left: c.kind !== 'number',
        of: p => p[c.name] === null ? '–' : value(p[c.name], textOf(c, p[c.name]))})),
      {title: 'Bound', left: true, of: p => p.bound},
    ], rows));
  };
  show();
  return element('div', {}, element('div', {class: 'controls'},
    choice('Rows', [['front', 'the Pareto front'], ['all', 'all points']], state.which, chosen => {
      state.which = chosen;
      show();
    }),
    choice('Best first by', [['id', 'point'], ...sweep.columns.map(c => [c.name, c.name])],
      state.sort, chosen => {
        state.sort = chosen;
        show();
      })), holder);
}

function sensitivities(sweep) {
  return sweep.sensitivities.map(({metric, r_squared: fit, axes}) => {
    const known = axes.filter(a => a.elasticity !== null);
    const draw = width => {
      const extent = Math.max(0.1, ...known.map(a => Math.abs(a.elasticity) +
        (a.standard_error ?? 0))) * 1.25;
      return Plot.plot({
        width, height: 54 + axes.length * 28, marginLeft: width < 560 ? 130 : 220, marginBottom: 40,
        marginTop: 8, marginRight: 20,
        x: {domain: [-extent, extent], label: `% change of ${metric} for 1 % more →`, grid: true,
          ticks: width < 560 ? 3 : 7, tickFormat: x => x === 0 ? '0' : x.toFixed(2)},
        y: {domain: axes.map(a => a.axis), label: null, tickSize: 0, padding: 0.3},
        marks: [
          Plot.barX(known, {y: 'axis', x1: 0, x2: 'elasticity', fill: a => a.elasticity < 0
            ? 'url(#p-vector)' : 'url(#p-hbm)', ariaLabel: a => `${a.axis}: 1 % more changes ` +
            `${metric} by ${a.elasticity.toFixed(3)} % ± ${(a.standard_error ?? 0).toFixed(3)}`}),
          Plot.ruleY(known, {y: 'axis', x1: a => a.elasticity - (a.standard_error ?? 0),
            x2: a => a.elasticity + (a.standard_error ?? 0), stroke: 'var(--text)'}),
          ...[-1, 1].map(side => Plot.text(known.filter(a => (a.elasticity < 0 ? -1 : 1) === side), {
            y: 'axis', x: a => a.elasticity + side * (a.standard_error ?? 0), dx: side * 6,
            textAnchor: side < 0 ? 'end' : 'start', text: a => a.elasticity.toFixed(2),
            fill: 'var(--text)'})),
          Plot.text(axes.filter(a => a.elasticity === null), {y: 'axis', x: () => 0, text: 'note',
            fill: 'var(--muted)', textAnchor: 'start', dx: 4}),
          Plot.ruleX([0]),
        ],
      });
    };
    return chart({
      title: `What ${metric} follows`, draw,
      description: `Least squares over all points, in logarithms${fit === null ? '.'
        : `; together they explain ${percent(fit)} of it (R²). Lines: one standard error.`}`,
      tables: [table(`Elasticities of ${metric}`, [
        {title: 'Axis', left: true, of: a => a.axis},
        {title: 'Elasticity', of: a => a.elasticity === null ? '–' : value(a.elasticity,
          a.elasticity.toFixed(3))},
        {title: 'Standard error', of: a => a.standard_error === null ? '–'
          : value(a.standard_error, a.standard_error.toFixed(3))},
        {title: 'Note', left: true, of: a => a.note},
      ], axes)],
    });
  });
}

export function sweepPage(sweep) {
  const done = sweep.points.filter(p => p.status === 'done');
  const other = sweep.points.filter(p => p.status !== 'done');
  const front = done.filter(p => p.pareto);
  const parts = [section('summary', 'In short',
    sweep.question ? element('p', {class: 'lead'}, sweep.question) : null,
    element('p', {class: 'lead'}, value(done.length, count(done.length)), ' points are done, ',
      value(front.length, count(front.length)), ' of them on the Pareto front',
      other.length > 0 ? [', ', value(other.length, count(other.length)), ' are not'] : '', '.'))];
  if (done.length > 0 && sweep.objectives.length > 0)
    parts.push(section('points', 'The Pareto front', explorer(sweep, done), pointsTable(sweep, done)));
  if (sweep.sensitivities.length > 0)
    parts.push(section('sensitivities', 'What matters', sensitivities(sweep)));
  if (other.length > 0) {
    parts.push(section('failures', 'What is not done', table('Points that are not done', [
      {title: 'Point', of: p => value(p.id, count(p.id))},
      {title: 'Status', left: true, of: p => p.status},
      {title: 'Message', left: true, of: p => p.message},
    ], other)));
  }
  parts.push(section('columns', 'The columns', table('Columns of the points', [
    {title: 'Column', left: true, of: c => c.name},
    {title: 'Role', left: true, of: c => c.role},
    {title: 'Unit', left: true, of: c => c.unit},
    {title: 'Meaning', left: true, of: c => c.expression || c.meaning},
  ], sweep.columns)));
  return {title: sweep.title, facts: [`tessera ${sweep.tool_version}`,
    `${count(sweep.points.length)} points`], parts};
}
