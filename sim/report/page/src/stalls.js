// Where the core-cycles went: a stacked bar for each operation, one colour and pattern a cause.
import * as Plot from '@observablehq/plot';
import {causes, fillOf} from './causes.js';
import {chart, choice, element, legend, swatch, table, value} from './elements.js';
import {number, percent, shortened, time} from './format.js';
import {groups, sharedPrefix} from './run_data.js';

/** runs: [{run, label}]; of two, each operation has a bar for each. */
export function stalls(runs) {
  const several = runs.length > 1;
  const bars = [];
  const byRun = runs.map(({run}) => groups(run));
  const keys = [...new Set(byRun.flatMap(all => all.map(g => g.key)))];
  for (const key of keys) {
    byRun.forEach((all, which) => {
      const group = all.find(g => g.key === key);
      if (group) bars.push({group, which, row: several ? `${key}\n${which}` : key});
    });
  }
  const whole = runs.map(({run}, which) => ({which, row: `all\n${which}`, group: {name: 'all',
    precision: '', times: 1, stalls: run.stalls, time_us: run.time_us, share: 1}}));
  const rows = [...whole, ...bars];
  const prefix = sharedPrefix(byRun.flat().map(group => group.name));
  const label = bar => (bar.group.name.slice(bar.group.name === 'all' ? 0 : prefix.length) + (bar.group.times > 1 ? ` ×${bar.group.times}` : '')) +
    (several ? ` · ${runs[bar.which].label}` : '');
  const present = causes.filter(({key}) => rows.some(bar => bar.group.stalls[key] > 0));
  let scale = 'share';

  const draw = width => {
    const longest = Math.min(34, Math.max(...rows.map(bar => label(bar).length)));
    const most = width < 560 ? 16 : longest;
    const segments = [];
    for (const bar of rows) {
      let at = 0;
      const length = scale === 'share' ? 1 : bar.group.time_us;
      for (const {key, label: cause} of present) {
        const share = bar.group.stalls[key] ?? 0;
        if (share <= 0) continue;
        segments.push({bar, key, cause, share, x1: at * length, x2: (at + share) * length});
        at += share;
      }
    }
    const shownRows = scale === 'share' ? rows : bars;
    const shown = segments.filter(s => scale === 'share' || s.bar.group.name !== 'all');
    const end = scale === 'share' ? 1 : Math.max(...shownRows.map(bar => bar.group.time_us));
    return Plot.plot({
      width, height: 46 + shownRows.length * (several ? 22 : 26),
      marginLeft: 14 + most * 6.6, marginTop: 8, marginBottom: 38, marginRight: 60,
      x: {domain: [0, end], label: scale === 'share' ? 'share of core-cycles →' : 'time →',
        tickFormat: scale === 'share' ? (x => `${Math.round(x * 100)} %`) : (x => time(x)), ticks: width < 560 ? 3 : 6},
      y: {domain: shownRows.map(bar => bar.row), label: null, tickSize: 0, padding: 0.18,
        tickFormat: row => shortened(label(rows.find(bar => bar.row === row)), most)},
      marks: [
        Plot.barX(shown, {y: s => s.bar.row, x1: 'x1', x2: 'x2', fill: s => fillOf(s.key),
          stroke: 'var(--surface)', strokeWidth: 1,
          ariaLabel: s => `${label(s.bar)}: ${s.cause} ${percent(s.share)} of core-cycles` +
            ` (${time(s.share * s.bar.group.time_us)})`}),
        Plot.text(shown.filter(s => (s.x2 - s.x1) / end * (width - 200) > s.cause.length * 7 + 10), {
          y: s => s.bar.row, x: s => (s.x1 + s.x2) / 2, text: 'cause', fill: 'var(--text)',
          stroke: 'var(--surface)', strokeWidth: 5}),
        Plot.text(shownRows, {y: 'row', x: bar => scale === 'share' ? 1 : bar.group.time_us,
          text: bar => scale === 'share' ? time(bar.group.time_us) : percent(bar.group.share),
          textAnchor: 'start', dx: 5, fill: 'var(--text)'}),
      ],
    });
  };
  const figure = chart({
    title: 'Where the core-cycles went', draw,
    description: 'Every cycle of every core is charged to one cause. Operations of the same name ' +
      'are taken together; beside a bar stands the time of all their executions.',
    controls: element('div', {class: 'controls'}, choice('Length', [['share', 'share of the cycles'],
      ['time', 'time']], scale, chosen => {
      scale = chosen;
      figure.render();
    })),
    legend: legend(present.map(({key, label: text}) => [swatch(fillOf(key)), text])),
    tables: [table('Share of core-cycles by cause', [
      {title: 'Operation', left: true, of: bar => label(bar)},
      {title: 'Precision', left: true, of: bar => bar.group.precision},
      {title: 'Time', of: bar => value(bar.group.time_us, time(bar.group.time_us))},
      ...present.map(({key, label: text}) => ({title: text,
        of: bar => value(bar.group.stalls[key], percent(bar.group.stalls[key]))})),
    ], rows)],
  });
  return figure;
}
