// What stands in words and numbers.

const table = (heads, rows, classes = []) => el('div', { class: rows.length > 12 ? 'scroll long' : 'scroll' }, el('table', {},
  el('thead', {}, el('tr', {}, ...heads.map((head, n) => el('th', classes[n] ? { class: classes[n] } : {}, head)))),
  el('tbody', {}, ...rows.map(row => el('tr', {}, ...row.map((cell, n) => el('td', classes[n] ? { class: classes[n] } : {}, cell)))))));
const list = pairs => el('dl', {}, ...pairs.filter(pair => pair[1] !== '').flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)]));
const bar = (share, bad) => { const span = el('span', bad ? { class: 'bad' } : {}); span.style.width = `${(share * 100).toFixed(2)}%`; return span; };
const mark = passed => el('span', { class: passed ? 'yes' : 'no' }, passed ? '✓' : '✗');

// Files of older versions have whole milliseconds only.
const elapsed = () => Math.max(data.run.elapsed_ns ? data.run.elapsed_ns / 1e9 : data.run.elapsed_ms / 1e3, 1e-9);

const QUANTILES = [['p50', .5], ['p75', .75], ['p90', .9], ['p95', .95], ['p99', .99], ['p99.9', .999], ['p99.99', .9999]];

const tile = (name, value, more, kind = '') => {
  const [number, unit] = String(value).split(/ (?=[a-zA-Z%/])/);
  return el('div', { class: `tile ${kind}` }, el('div', { class: 'name' }, name),
    el('div', { class: 'value' }, number, ...unit ? [el('small', {}, unit)] : []), el('div', { class: 'more' }, more || '\u00a0'));
};

const tiles = () => {
  const { run } = data, response = run.response, open = run.mode === 'open';
  const at = q => time(quantile(response, q));
  const also = q => open ? `service ${time(quantile(run.service, q))}` : '';
  byId('tiles').append(
    tile('Throughput', `${rate(data.throughput)} /s`, open ? `of ${rate(run.totals.scheduled / elapsed())} /s asked` : `${count(run.totals.completed)} answers`, 'lead'),
    tile('Median', at(.5), also(.5)), tile('p99', at(.99), also(.99)), tile('p99.9', at(.999), also(.999)),
    tile('Slowest', time(highest(response)), also(1)),
    tile('Errors', percent(data.error_ratio), `${count(run.totals.failed + run.totals.bad_status + run.totals.dropped)} requests`, data.error_ratio > 0 ? 'bad' : ''));
};

const percentiles = () => {
  const { response, service } = data.run;
  const rows = QUANTILES.map(([name, q]) => [name, time(quantile(response, q)), time(quantile(service, q))]);
  rows.push(['max', time(highest(response)), time(highest(service))], ['mean', time(mean(response)), time(mean(service))]);
  byId('percentiles').append(table(['', 'response time', 'service time'], rows));
};

const answers = () => {
  const { run } = data, t = run.totals, s = elapsed();
  const most = Math.max(1, ...Object.values(run.statuses));
  const rows = Object.entries(run.statuses).map(([status, n]) => [status, count(n), percent(n / Math.max(1, t.completed)), bar(n / most, status >= 400)]);
  if (rows.length) byId('answers').append(table(['status', 'answers', 'share', ''], rows, ['', '', '', 'bar']));
  byId('answers').append(list([
    ['scheduled', count(t.scheduled)], ['sent', count(t.sent)], ['answered', count(t.completed)], ['failed', count(t.failed)],
    ['late', run.mode === 'open' ? `${count(t.late)} sent more than 1 ms after their time` : ''],
    ['never sent', run.mode === 'open' ? count(t.dropped) : ''],
    ['received', `${bytes(t.bytes_in)} (${bytes(t.bytes_in / s)}/s)`], ['sent bytes', `${bytes(t.bytes_out)} (${bytes(t.bytes_out / s)}/s)`],
    ['connects', `${count(t.connects)}${run.connect.length ? `, median ${time(quantile(run.connect, .5))}` : ''}`],
  ]));
};

const errors = () => {
  if (!data.run.errors.length) return;
  const most = Math.max(...data.run.errors.map(group => group.count));
  reveal('errors').append(table(['cause', 'count', 'first', 'last', ''], data.run.errors.map(group => {
    const cause = el('span', {}, group.cause);
    if (group.example) cause.append(el('small', {}, group.example));
    return [cause, count(group.count), seconds(group.first_ms), seconds(group.last_ms), bar(group.count / most, true)];
  }), ['text', '', '', '', 'bar']));
};

const nodes = () => {
  const entries = Object.entries(data.run.nodes);
  if (!entries.length) return;
  const most = Math.max(...entries.map(entry => entry[1])), sum = entries.reduce((all, entry) => all + entry[1], 0) || 1;
  const body = reveal('nodes');
  body.append(table([data.run.settings.node_header, 'answers', 'share', ''], entries.map(([name, n]) => [name, count(n), percent(n / sum), bar(n / most)]), ['text', '', '', 'bar']));
  if (data.jain !== null) body.append(el('p', { class: 'hint' }, `Fairness (Jain) ${data.jain.toFixed(3)}: 1 is even, ${(1 / entries.length).toFixed(3)} is one node for all.`));
};

const client = () => {
  const c = data.run.client;
  byId('client').append(list([
    ['CPU', `${c.cpu_percent.toFixed(0)} % of a core`], ['busiest thread', `${c.busiest_thread_percent.toFixed(0)} %`],
    ['ready but without a core', `${c.starved_percent.toFixed(1)} % of the time`],
    ['send lag', data.run.mode === 'open' ? `p50 ${time(c.lag_p50_ns)}, p99 ${time(c.lag_p99_ns)}, max ${time(c.lag_max_ns)}` : ''],
    ['verdict', el('span', { class: c.bottleneck ? 'no' : data.too_short ? '' : 'yes' }, data.client)],
  ]));
};

const promises = () => {
  if (!data.run.slo.length) return;
  reveal('promises').append(table(['', 'condition', 'measured'], data.run.slo.map(o => [mark(o.passed), el('code', {}, o.condition), o.measured]), ['', 'text', 'text']));
};

const search = () => {
  const found = data.run.find_max;
  if (!found) return;
  const body = reveal('search');
  body.append(el('p', { class: 'hint' }, found.best_rate === null ? `None of the rates tried kept ${found.goal}.` : `Highest rate that kept ${found.goal}${data.run.interrupted ? ' so far' : ''}: ${rate(found.best_rate)} /s.`));
  body.append(table(['asked', 'answered', 'p50', 'p99', 'errors', '', ''], found.steps.map(s =>
    [`${rate(s.rate)} /s`, `${rate(s.achieved)} /s`, time(s.p50_ns), time(s.p99_ns), percent(s.error_ratio), mark(s.passed), s.broken.join(', ')]), ['', '', '', '', '', '', 'text']));
};

const events = () => {
  if (!data.run.events.length) return;
  reveal('events').append(table(['at', 'kind', 'what'], data.run.events.map(e => [`${(e.at_ms / 1000).toFixed(2)} s`, e.kind, e.text]), ['', 'text', 'text']));
};

const settings = () => {
  const s = data.run.settings;
  byId('settings').append(list([
    ['targets', s.targets.map(t => s.targets.length > 1 ? `${t.url} (weight ${t.weight})` : t.url).join('\n')],
    ['command', el('code', {}, s.command.map(part => /^[\w@%+=:,./-]+$/.test(part) ? part : `'${part.replaceAll("'", "'\\''")}'`).join(' '))],
    ['load', data.run.mode === 'open' ? `open loop: ${s.plan}, ${s.arrivals} arrivals, seed ${s.seed}` : 'closed loop: each connection sends when it has its answer'],
    ['connections', `${s.connections}${s.keepalive ? ', kept alive' : ', one a request'}`], ['threads', `${s.threads} on ${s.driver}`],
    ['warm-up', seconds(s.warmup_ms)], ['timeout', seconds(s.timeout_ms)], ['notes', data.run.notes.join(' ')],
  ]));
};
