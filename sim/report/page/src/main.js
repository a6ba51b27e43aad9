// Builds the page from the JSON it holds.
import {patterns} from './causes.js';
import {comparePage} from './compare.js';
import {element} from './elements.js';
import {runPage} from './run.js';
import {sweepPage} from './sweep.js';

const data = JSON.parse(document.getElementById('data').textContent);
const pages = {
  run: () => data.runs.length > 1 ? comparePage(...data.runs) : runPage(data.runs[0]),
  sweep: () => sweepPage(data.sweep),
};
const {title, facts, parts} = pages[data.kind]();

document.title = `${title} – tessera`;
const themes = ['auto', 'light', 'dark'];
const theme = element('select', {'aria-label': 'Theme', onchange: () => {
  if (theme.value === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.value;
}}, themes.map(name => element('option', {value: name}, name)));
const links = element('nav', {'aria-label': 'Parts of the page'}, parts.map(part =>
  element('a', {href: `#${part.id}`}, part.querySelector('h2').textContent)));
document.getElementById('page').append(
  patterns(),
  element('header', {}, element('div', {class: 'bar'}, element('span', {class: 'brand'}, 'tessera'),
    links, element('label', {class: 'choice'}, 'Theme ', theme)),
  element('h1', {}, title), element('p', {class: 'facts'}, facts.join(' · '))),
  element('main', {}, parts),
  element('footer', {}, element('p', {}, 'All numbers are in the JSON at the end of this file.')));
// What is closed on the screen is open on paper.
const closed = [];
addEventListener('beforeprint', () => {
  for (const details of document.querySelectorAll('details:not([open])')) {
    if (details.querySelectorAll('tr').length > 60) continue;
    details.open = true;
    closed.push(details);
  }
});
addEventListener('afterprint', () => closed.splice(0).forEach(details => details.open = false));
document.documentElement.dataset.drawn = 'true';
