// The browser's side of a live page: what the kernel draws is put into the regions of the page, what people do is told to the kernel.
const $ = (id) => document.getElementById(id);
const config = JSON.parse($('page-config').textContent);
const root = document.documentElement;
const plots = new Map(); // region -> figure as it was sent

// Light, dark, or as the system has it
const stored = localStorage.getItem('theme');
if (stored) root.dataset.theme = stored;
function isDark() {
  return root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
}
$('theme')?.addEventListener('click', () => {
  root.dataset.theme = isDark() ? 'light' : 'dark';
  localStorage.setItem('theme', root.dataset.theme);
  redraw();
});
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);

// Figures: colours are names of CSS variables, so that each theme has its own
function themed(value, style) {
  if (Array.isArray(value)) return value.map((one) => themed(one, style));
  if (value && typeof value === 'object')
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, themed(one, style)]));
  return typeof value === 'string' && value.startsWith('--') ? style.getPropertyValue(value).trim() : value;
}
let plotly;
function loadPlotly() {
  plotly ??= window.Plotly ? Promise.resolve() : new Promise((resolve, reject) => {
    const script = document.createElement('script');
    script.src = config.plotly;
    script.onload = resolve;
    script.onerror = reject;
    document.head.append(script);
  });
  return plotly;
}
async function draw(region) {
  await loadPlotly();
  const figure = plots.get(region), host = $(region);
  if (!figure || !host) return;
  let plot = host.querySelector('.plot');
  if (!plot) {
    host.innerHTML = '<div class="plot" role="img"></div>';
    plot = host.firstChild;
  }
  plot.style.height = `${figure.height}px`;
  plot.setAttribute('aria-label', figure.alt);
  const { data, layout } = themed({ data: figure.data, layout: figure.layout }, getComputedStyle(root));
  await Plotly.react(plot, data, { ...layout, height: figure.height, autosize: true },
    { displayModeBar: false, responsive: true, locale: 'mytech' });
  host.removeAttribute('aria-busy');
  if (figure.do && !plot.bound) {
    plot.bound = true;
    plot.on('plotly_click', ({ points: [p] }) => tell({ do: plots.get(region).do, x: p.x, y: p.y, value: p.customdata ?? null }));
  }
}
function redraw() { for (const region of plots.keys()) draw(region); }

// What the kernel says
function put(region, html) {
  const host = $(region);
  if (!host) return;
  const held = host.contains(document.activeElement) ? document.activeElement : null;
  const typed = held?.matches('input:not([type=checkbox]):not([type=radio]), textarea') ? held.value : null;
  const at = typed !== null && held.type !== 'range' && held.type !== 'date' ? held.selectionStart : null;
  const open = [...host.querySelectorAll('details[open][id]')].map((one) => one.id);
  host.innerHTML = html;
  host.removeAttribute('aria-busy');
  for (const id of open) $(id)?.setAttribute('open', '');
  const again = held?.id && $(held.id);
  if (again) {
    if (typed !== null) again.value = typed;
    again.focus({ preventScroll: true });
    if (at !== null) again.setSelectionRange(at, at);
  }
}
function notice(text, kind = '') {
  const line = $('notice');
  line.textContent = text;
  line.className = kind;
  line.hidden = !text;
  clearTimeout(notice.timer);
  if (kind !== 'bad') notice.timer = setTimeout(() => { line.hidden = true; }, 6000);
}
function download({ name, type, base64 }) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}
function apply(said) {
  for (const [region, html] of Object.entries(said.regions ?? {})) { plots.delete(region); put(region, html); }
  for (const [region, figure] of Object.entries(said.figures ?? {})) { plots.set(region, figure); draw(region); }
  if (said.notice) notice(said.notice.text, said.notice.kind);
  if (said.dialog !== undefined) show(said.dialog);
  if (said.focus) $(said.focus)?.focus();
  if (said.download) download(said.download);
  if (said.query !== undefined) history.replaceState(null, '', said.query ? `?${said.query}` : location.pathname);
  if (said.go) location.assign(said.go);
  if (said.done !== undefined) root.dataset.done = said.done;
}
function show(html) {
  const dialog = $('dialog');
  dialog.innerHTML = html ?? '';
  if (!html) return dialog.open && dialog.close();
  if (!dialog.open) dialog.showModal();
}

// What people do: anything with data-do tells its name and values, forms all of their fields
let socket, comm, sent = 0;
function tell(content) {
  if (socket?.readyState !== WebSocket.OPEN) return;
  root.dataset.sent = ++sent;
  send('comm_msg', { comm_id: comm, data: { ...content, n: sent } });
}
function valuesOf(element) {
  const { do: name, ...more } = element.dataset;
  if (element.matches('form')) Object.assign(more, Object.fromEntries(new FormData(element)));
  else if (element.type === 'checkbox') more.value = element.checked;
  else if (element.matches('input, select, textarea')) more.value = element.value;
  return { do: name, ...more };
}
document.addEventListener('click', (event) => {
  const element = event.target.closest('button[data-do], a[data-do], tr[data-do]');
  if (event.target.closest('[data-close]')) $('dialog').close();
  if (!element) return;
  event.preventDefault();
  tell(valuesOf(element));
});
document.addEventListener('submit', (event) => {
  if (!event.target.dataset.do) return;
  event.preventDefault();
  tell(valuesOf(event.target));
});
document.addEventListener('change', (event) => {
  if (event.target.matches('select[data-do], input[data-do]:not([data-live])')) tell(valuesOf(event.target));
});
let typing;
document.addEventListener('input', (event) => {
  if (!event.target.matches('input[data-do][data-live]')) return;
  const output = event.target.id && document.querySelector(`output[for="${event.target.id}"]`);
  if (output) output.textContent = event.target.dataset.scale ? `${Math.round(event.target.value * event.target.dataset.scale * 10) / 10}` : event.target.value;
  clearTimeout(typing);
  typing = setTimeout(() => tell(valuesOf(event.target)), 150);
});
document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $('dialog').open) return;
  if (event.target.matches('input:not([type=range]):not([type=checkbox]), textarea, select')) return;
  const button = document.querySelector(`[data-key="${CSS.escape(event.key)}"]:not(:disabled)`);
  if (!button) return;
  event.preventDefault();
  button.matches('input') ? button.focus() : button.click();
});

// The line to the kernel
const session = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
function send(type, content) {
  socket.send(JSON.stringify({
    channel: 'shell', content, metadata: {}, parent_header: {}, buffers: [],
    header: { msg_id: `${session}-${performance.now()}`, msg_type: type, session, username: '', version: '5.3', date: new Date().toISOString() },
  }));
}
async function connect() {
  const me = await fetch(`${config.base}me?kernel=${config.kernel}`);
  if (me.status === 401) return location.assign(`${config.base}login`);
  if (!me.ok) throw new Error(me.status);
  const { name, statement } = await me.json();
  $('who').textContent = name;
  const address = new URL(`${config.base}api/kernels/${config.kernel}/channels?session_id=${session}`, location.href);
  socket = new WebSocket(address.href.replace(/^http/, 'ws'));
  comm = `${session}-page`;
  socket.onopen = () => send('comm_open', {
    comm_id: comm, target_name: 'mytech.page', data: { statement, query: location.search.slice(1) } });
  socket.onmessage = ({ data }) => {
    const { header, content } = JSON.parse(data);
    if (header.msg_type === 'comm_msg' && content.comm_id === comm) apply(content.data);
  };
  socket.onclose = cut;
}
function cut() {
  if (cut.leaving) return;
  const line = $('notice');
  notice(line.dataset.cut, 'bad');
  line.insertAdjacentHTML('beforeend', ` <button type="button" onclick="location.reload()"></button>`);
  line.lastChild.textContent = line.dataset.again;
}
addEventListener('pagehide', () => { cut.leaving = true; });
addEventListener('pageshow', ({ persisted }) => { if (persisted) location.reload(); });
if (config.kernel) connect().catch(cut);
else apply(config.said ?? {});
