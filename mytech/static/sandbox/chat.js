// The sandbox's chat page. What people write only ever becomes text nodes, never markup.

const TEXTS = {
  id: {
    you: 'Anda sebagai', as: 'sebagai', technician: 'Teknisi', ops: 'Ops', admin: 'Admin', bot: 'bot', help: 'Coba dulu',
    members: n => `${n} anggota`, private: 'Chat pribadi', write: 'Tulis pesan', send: 'Kirim', attach: 'Lampirkan foto atau berkas',
    reply: 'Balas', edit: 'Ubah', cancel: 'Batal', back: 'Kembali ke daftar chat', newest: 'Ke pesan terbaru', remove: 'Hapus lampiran',
    edited: 'diedit', photo: 'Foto', album: 'Album', file: 'Berkas', forwarded: 'Diteruskan dari', today: 'Hari ini', yesterday: 'Kemarin',
    older: 'Pesan sebelumnya', rooms: 'Daftar chat', messages: 'Percakapan', quick: 'Balasan cepat', unread: n => `${n} belum dibaca`,
    live: 'Tersambung', lost: 'Menyambung kembali…', silent: 'Bot belum menjawab tombol ini. Apakah bot sedang berjalan?',
    failed: 'Tidak terkirim', emptyTitle: 'Belum ada pesan', empty: 'Tulis pesan pertama, atau ikuti langkah di “Coba dulu”.',
    emptyBot: 'Kirim perintah ke bot, misalnya dari tombol di bawah.', asleep: 'Bot ini belum berjalan.', moved: 'Grup ini menjadi supergrup', arrived: 'Supergrup ini berasal dari grup lama', unreadable: 'Pesan ini tidak terbaca',
    other: 'EN', otherName: 'English', tourTitle: 'Coba dulu, lima menit',
    tour: 'Telegram tiruan di komputer ini. Bot di dalamnya bot sungguhan; Anda memerankan orang-orangnya.',
    step1: 'Teknisi minta bantuan', step1Text: 'Sebagai Budi di grup Teknisi Jaksel, kirim keluhan.', step1Do: 'Tuliskan contohnya',
    step2: 'Jadi ops', step2Text: 'Ayu B melihat pesan yang sama di grup itu.', step2Do: 'Jadi Ayu B',
    step3: 'Balas dengan solusi', step3Text: 'Balas pesan Budi: solusi, kode aplikasi, inisial.', step3Do: 'Isikan balasannya',
    step4: 'Lihat jawaban bot', step4Text: 'Tiket dicatat, diukur waktunya, dan diberi label. Jawabannya muncul di grup.', step4Do: 'Ke grup',
    step5: 'Tanya sebagai admin', step5Text: 'Maya meminta angka kepada bot admin.', step5Do: 'Tanya /stats',
    tourDone: 'Selesai! Tiketnya kini ada di tabel: mytech export logs. Coba juga album foto, ubah pesan, atau inisial yang belum terdaftar.',
  },
  en: {
    you: 'You are', as: 'as', technician: 'Technician', ops: 'Ops', admin: 'Admin', bot: 'bot', help: 'Try this',
    members: n => `${n} members`, private: 'Private chat', write: 'Write a message', send: 'Send', attach: 'Attach photos or files',
    reply: 'Reply', edit: 'Edit', cancel: 'Cancel', back: 'Back to chats', newest: 'To the newest message', remove: 'Remove attachment',
    edited: 'edited', photo: 'Photo', album: 'Album', file: 'File', forwarded: 'Forwarded from', today: 'Today', yesterday: 'Yesterday',
    older: 'Earlier messages', rooms: 'Chats', messages: 'Conversation', quick: 'Quick replies', unread: n => `${n} unread`,
    live: 'Connected', lost: 'Reconnecting…', silent: 'The bot has not answered this button. Is it running?',
    failed: 'Not sent', emptyTitle: 'No messages yet', empty: 'Write the first one, or follow “Try this”.',
    emptyBot: 'Send the bot a command, for instance from the buttons below.', asleep: 'This bot is not running yet.', moved: 'This group became a supergroup', arrived: 'This supergroup comes from an older group', unreadable: 'This message cannot be read',
    other: 'ID', otherName: 'Bahasa Indonesia', tourTitle: 'Five minutes to try',
    tour: 'A Telegram of its own on this computer. The bots in it are the real ones; you play the people.',
    step1: 'A technician asks for help', step1Text: 'As Budi in the group Teknisi Jaksel, post a complaint.', step1Do: 'Write the example',
    step2: 'Become ops', step2Text: 'Ayu B sees the same message in that group.', step2Do: 'Be Ayu B',
    step3: 'Reply with the solution', step3Text: 'Reply to Budi: solution, app code, initials.', step3Do: 'Fill in the reply',
    step4: 'See the bot answer', step4Text: 'The ticket is logged, timed and labelled. The answer appears in the group.', step4Do: 'To the group',
    step5: 'Ask as an admin', step5Text: 'Maya asks the admin bot for numbers.', step5Do: 'Ask /stats',
    tourDone: 'Done! The ticket is in the table now: mytech export logs. Try an album of photos, an edit, or unknown initials, too.',
  },
};
const PROBLEMS = ['tdk bisa login mytech min, muter terus', 'moban reset totp min, hp baru', 'WO12345678 blm muncul di list min'];
const SOLUTIONS = ['oncek', 'silakan clear cache lalu login ulang, MIT -', 'sudah direset, silakan coba lagi, MIT -'];
const COLLECTOR_COMMANDS = ['/help', '/id'];
const PAGE = 120;

const $ = id => document.getElementById(id);
const here = {
  language: localStorage.getItem('language') || 'id', epoch: 0, revision: 0, people: [], bots: [], rooms: [],
  messages: new Map(), person: null, room: null, reply: null, editing: null, files: [], shown: PAGE, drafts: new Map(), pinned: true,
};
const say = (key, ...values) => {
  const text = TEXTS[here.language][key];
  return typeof text === 'function' ? text(...values) : text;
};

// ---- small helpers

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.filter(child => child !== null && child !== undefined));
  return node;
}

function icon(name) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
  use.setAttribute('href', `#i-${name}`);
  svg.setAttribute('aria-hidden', 'true');
  svg.append(use);
  return svg;
}

const iconButton = (name, label, onclick) =>
  element('button', { type: 'button', class: 'icon', title: label, 'aria-label': label, onclick }, icon(name));

// Puts `nodes` into `parent` in order and moves nothing that stands right, so that focus and pictures stay.
function reconcile(parent, nodes) {
  let at = parent.firstChild;
  for (const node of nodes) {
    if (node === at) at = at.nextSibling;
    else parent.insertBefore(node, at);
  }
  while (at) { const next = at.nextSibling; at.remove(); at = next; }
}

const colour = id => `c${Math.abs(Number(id)) % 8}`;
const fullName = who => [who.first_name, who.last_name].filter(Boolean).join(' ');
const initials = name => name.split(/\s+/).map(word => word[0] || '').slice(0, 2).join('').toUpperCase();
const clock = seconds => new Date(seconds * 1000).toLocaleTimeString(here.language, { hour: '2-digit', minute: '2-digit', hour12: false }).replace('.', ':');
const person = () => here.people.find(p => p.id === here.person);
const roomOf = key => here.rooms.find(r => r.room === key);
const roomName = room => room.chat.type === 'private' ? fullName(here.bots.find(b => room.room.endsWith(`:${b.id}`))) : room.chat.title;
const roomColour = room => colour(room.chat.type === 'private' ? room.room.split(':')[1] : room.chat.id);

function messagesOf(key) {
  const known = here.messages.get(key);
  if (!known) return [];
  known.sorted ||= [...known.byId.values()].sort((a, b) => a.message.message_id - b.message.message_id);
  return known.sorted;
}

const myRooms = () => here.rooms.filter(r => r.members.includes(here.person) && !r.chat.migrated_to);

function dayName(seconds) {
  const day = new Date(seconds * 1000), now = new Date();
  const apart = Math.round((new Date(now).setHours(0, 0, 0, 0) - new Date(day).setHours(0, 0, 0, 0)) / 864e5);
  if (apart < 2 && apart >= 0) return say(apart ? 'yesterday' : 'today');
  return day.toLocaleDateString(here.language, { day: 'numeric', month: 'long', year: 'numeric' });
}

function preview(message) {
  if (message.text || message.caption) return String(message.text || message.caption).replace(/\s+/g, ' ');
  if (message.photo) return say(message.media_group_id ? 'album' : 'photo');
  if (message.migrate_to_chat_id) return say('moved');
  return message.document?.file_name || say('file');
}

let toastTimer;
function toast(text) {
  $('toast').textContent = text;
  $('toast').classList.add('show');
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => $('toast').classList.remove('show'), 3500);
}

async function call(path, body) {
  const form = body instanceof FormData;
  const options = body && {
    method: 'POST', body: form ? body : JSON.stringify(body),
    headers: form ? {} : { 'content-type': 'application/json' },
  };
  const answer = await (await fetch(`/sandbox/${path}`, options)).json();
  if (!answer.ok) throw new Error(answer.description);
  return answer.result;
}

// Runs what a click asks for; a failure is shown, not thrown.
const attempt = work => async event => {
  event?.preventDefault?.();
  try { await work(event); } catch (error) { toast(`${say('failed')}: ${error.message}`); }
};

// ---- what is known

async function loadState() {
  const { people, bots, rooms, revision, epoch } = await call('state');
  Object.assign(here, { people, bots, rooms, epoch });
  return revision;
}

function remember(changes) {
  for (const { room, revision, deleted, message } of changes) {
    if (!here.messages.has(room)) here.messages.set(room, { byId: new Map(), sorted: null });
    const known = here.messages.get(room);
    known.sorted = null;
    if (deleted) known.byId.delete(message.message_id);
    else known.byId.set(message.message_id, { revision, message });
    here.revision = Math.max(here.revision, revision);
  }
}

function listen() {
  const stream = new EventSource(`/sandbox/events?epoch=${here.epoch}&since=${here.revision}`);
  const status = live => {
    $('status').classList.toggle('live', live);
    $('status').textContent = $('status').title = say(live ? 'live' : 'lost');
  };
  stream.onopen = () => status(true);
  stream.onerror = () => status(false);
  stream.addEventListener('reset', () => location.reload());
  stream.addEventListener('change', async event => {
    const changes = JSON.parse(event.data);
    remember(changes);
    if (changes.some(c => !roomOf(c.room) || c.message.migrate_to_chat_id)) await loadState();
    if (!roomOf(here.room) || roomOf(here.room).chat.migrated_to) open(myRooms()[0].room);
    soon();
  });
}

const markKey = key => `read ${here.epoch} ${here.person} ${key}`;
const markRead = key => {
  const newest = Math.max(0, ...messagesOf(key).map(m => m.revision));
  localStorage.setItem(markKey(key), newest);
};
const unread = key => {
  const mark = Number(localStorage.getItem(markKey(key)) || 0);
  return messagesOf(key).filter(m => m.revision > mark && m.message.from.id !== here.person).length;
};

// ---- drawing

let drawing = false;
function soon() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => { drawing = false; draw(); });
}

function draw() {
  drawLog();
  stayAtEnd();
  if (document.hasFocus() && visible()) markRead(here.room);
  drawWho();
  drawRooms();
  drawHeader();
  drawChips();
  drawTour();
}

const visible = () => document.body.dataset.view === 'talk' || innerWidth > 760;

function avatar(node, name, tone, group) {
  node.className = `avatar ${tone}${group ? ' group' : ''}`;
  node.textContent = initials(name);
  return node;
}

function drawWho() {
  avatar($('who-avatar'), fullName(person()), colour(here.person));
  const groups = ['technician', 'ops', 'admin'].map(role => element('optgroup', { label: say(role) },
    ...here.people.filter(p => p.role === role).map(p => element('option', { value: p.id },
      fullName(p) + (p.initials ? ` (${p.initials})` : '')))));
  if ($('person').dataset.language !== here.language) $('person').replaceChildren(...groups);
  $('person').dataset.language = here.language;
  $('person').value = here.person;
}

function drawRooms() {
  const newest = key => messagesOf(key).at(-1);
  const order = (a, b) => (newest(b.room)?.revision || 0) - (newest(a.room)?.revision || 0);
  const focused = document.activeElement?.dataset?.room;
  $('rooms').replaceChildren(...myRooms().sort(order).map(room => {
    const last = newest(room.room)?.message, count = unread(room.room), name = roomName(room);
    const who = last && room.chat.type !== 'private' ? `${last.from.first_name}: ` : '';
    return element('button', { type: 'button', 'data-room': room.room, 'aria-current': String(room.room === here.room), onclick: () => enter(room.room) },
      avatar(element('span', { 'aria-hidden': 'true' }), name, roomColour(room), room.chat.type !== 'private'),
      element('b', {}, name), element('time', {}, last ? clock(last.date) : ''),
      element('span', { class: 'last' }, last ? who + preview(last) : say(room.chat.type === 'private' ? 'private' : 'emptyTitle')),
      count ? element('span', { class: 'unread', 'aria-label': say('unread', count) }, count > 99 ? '99+' : String(count)) : null);
  }));
  if (focused) $('rooms').querySelector(`[data-room="${CSS.escape(focused)}"]`)?.focus();
}

function drawHeader() {
  const room = roomOf(here.room), name = roomName(room), isPrivate = room.chat.type === 'private';
  avatar($('room-avatar'), name, roomColour(room), !isPrivate);
  $('room-title').textContent = name;
  const detail = isPrivate ? say('bot') : say('members', room.members.length);
  $('room-detail').textContent = innerWidth > 760 ? detail : `${say('as')} ${fullName(person())}`;
  document.title = `${name} · MyTech Sandbox`;
}

const drawn = new Map();  // key -> {signature, node}
function keep(key, signature, make) {
  const old = drawn.get(key);
  if (old?.signature === signature) return old.node;
  let node;
  try { node = make(); }
  catch { node = element('div', { class: 'service' }, say('unreadable')); }  // tests inject anything
  drawn.set(key, { signature, node });
  return node;
}

function drawLog() {
  const all = messagesOf(here.room), messages = all.slice(-here.shown), nodes = [];
  if (!all.length) {
    const isPrivate = roomOf(here.room).chat.type === 'private';
    nodes.push(element('div', { class: 'empty' }, element('b', {}, say('emptyTitle')), say(!isPrivate ? 'empty' : suggestions().length ? 'emptyBot' : 'asleep')));
  }
  if (all.length > messages.length) {
    nodes.push(element('button', { type: 'button', class: 'pill older', onclick: () => { here.shown += PAGE; draw(); } }, say('older')));
  }
  const groups = [];
  for (const item of messages) {
    const album = item.message.media_group_id;
    if (album && groups.at(-1)?.[0].message.media_group_id === album) groups.at(-1).push(item);
    else groups.push([item]);
  }
  const scope = `${here.person} ${here.room} ${here.language}`;
  let before = null;
  groups.forEach((group, index) => {
    const { message } = group[0], after = groups[index + 1]?.[0].message;
    const day = dayName(message.date);
    if (!before || dayName(before.date) !== day) {
      nodes.push(keep(`day ${day}`, scope, () => element('div', { class: 'day' }, day)));
      before = null;
    }
    const joins = (a, b) => a && b && a.from.id === b.from.id && !isService(a) && !isService(b) && b.date - a.date < 600;
    const first = !joins(before, message), last = !joins(message, after);
    const signature = `${scope} ${first} ${last} ${group.map(item => item.revision)}`;
    nodes.push(keep(`${here.room} ${message.message_id}`, signature, () => drawMessage(group.map(item => item.message), first, last)));
    before = message;
  });
  reconcile($('log'), nodes);
}

const isService = message => message.migrate_to_chat_id || message.migrate_from_chat_id;

function drawMessage(parts, first, last) {
  const lead = parts.find(part => part.text || part.caption) || parts[0];
  if (isService(lead)) return element('div', { class: 'service' }, say(lead.migrate_to_chat_id ? 'moved' : 'arrived'));
  const mine = lead.from.id === here.person, name = fullName(lead.from), tone = colour(lead.from.id);
  const inGroup = lead.chat.type !== 'private';
  const role = lead.from.is_bot ? 'bot' : here.people.find(p => p.id === lead.from.id)?.role;
  const sender = first && !mine && inGroup && element('span', { class: `sender ${tone}` }, name,
    role && role !== 'technician' ? element('small', {}, say(role)) : null);
  const bubble = element('div', { class: 'bubble' }, sender || null, ...forwarded(lead), ...quote(lead), ...media(parts), ...text(lead),
    element('span', { class: `stamp${parts.some(p => p.photo) && !lead.caption ? ' over' : ''}` }, (lead.edit_date ? `${say('edited')} ` : '') + clock(lead.date)));
  const tools = element('div', { class: 'tools' }, iconButton('reply', `${say('reply')}: ${name}`, () => startReply(lead)),
    mine ? iconButton('edit', say('edit'), () => startEdit(lead)) : null);
  const who = mine ? null : last && inGroup ? avatar(element('span', { 'aria-hidden': 'true' }), name, tone) : element('span');
  return element('article', {
    class: ['message', mine && 'mine', first && 'first', last && 'last', lead.edit_date && 'edited'].filter(Boolean).join(' '),
    'data-id': parts[0].message_id, 'data-ids': parts.map(part => part.message_id).join(' '), 'aria-label': `${name}, ${clock(lead.date)}`,
  }, who, element('div', { class: 'body' }, bubble, ...keys(lead)), tools);
}

function forwarded(message) {
  const origin = message.forward_origin;
  return origin ? [element('div', { class: 'forwarded' }, `${say('forwarded')} ${origin.sender_user ? fullName(origin.sender_user) : origin.sender_user_name || ''}`)] : [];
}

function quote(message) {
  const original = message.reply_to_message;
  if (!original) return [];
  return [element('button', { type: 'button', class: `quote ${colour(original.from.id)}`, onclick: () => show(original.message_id) },
    element('b', {}, fullName(original.from)), element('span', {}, preview(original)))];
}

function show(id) {
  const node = $('log').querySelector(`[data-ids~="${id}"]`);
  node?.scrollIntoView({ block: 'center', behavior: 'smooth' });
  node?.classList.remove('flash');
  requestAnimationFrame(() => node?.classList.add('flash'));
}

const fileAddress = id => `/sandbox/file/${encodeURIComponent(id)}`;

function media(parts) {
  const photos = parts.filter(part => part.photo);
  const nodes = photos.length ? [element('div', { class: `media${photos.length > 1 ? ' many' : ''}${photos.length % 2 ? ' odd' : ''}` },
    ...photos.map(({ photo, caption }) => {
      const shown = photo.find(size => Math.max(size.width, size.height) >= 760) || photo.at(-1);
      return element('a', { href: fileAddress(photo.at(-1).file_id), target: '_blank', rel: 'noopener' },
        element('img', { src: fileAddress(shown.file_id), width: shown.width, height: shown.height, alt: caption || say('photo'), loading: 'lazy' }));
    }))] : [];
  for (const part of parts) {
    const file = part.document || part.video || part.audio;
    if (!file) continue;
    nodes.push(element('a', { class: 'document', href: fileAddress(file.file_id), download: file.file_name || 'file' },
      icon('file'), element('span', {}, file.file_name || say('file'), element('small', {}, `${Math.ceil((file.file_size || 0) / 1024)} KB`))));
  }
  return nodes;
}

function text(message) {
  const content = message.text ?? message.caption;
  if (!content) return [];
  const entities = message.entities || message.caption_entities || [];
  const sorted = [...entities].sort((a, b) => a.offset - b.offset || b.length - a.length);
  return [element('div', { class: 'text' }, ...styled(String(content), 0, String(content).length, sorted))];
}

const TAGS = { bold: 'b', italic: 'i', underline: 'u', strikethrough: 's', code: 'code', pre: 'pre', blockquote: 'blockquote', expandable_blockquote: 'blockquote' };

// Offsets of entities are UTF-16 units, which is what JavaScript's strings are made of.
function styled(content, start, end, entities) {
  const nodes = [];
  let at = start;
  while (entities.length) {
    const [entity, ...rest] = entities, from = Math.max(entity.offset, at), to = Math.min(entity.offset + entity.length, end);
    entities = rest;
    if (from >= to) continue;
    if (from > at) nodes.push(content.slice(at, from));
    nodes.push(dress(entity, content.slice(from, to), styled(content, from, to, rest.filter(e => e.offset < to))));
    entities = rest.filter(e => e.offset >= to);
    at = to;
  }
  if (at < end) nodes.push(content.slice(at, end));
  return nodes;
}

function dress(entity, piece, children) {
  if (TAGS[entity.type]) return element(TAGS[entity.type], {}, ...children);
  if (entity.type === 'spoiler') return element('span', { class: 'spoiler', tabindex: '0' }, ...children);
  if (entity.type === 'bot_command') return element('button', { type: 'button', class: 'command', onclick: attempt(() => post({ text: piece })) }, ...children);
  const address = entity.type === 'text_link' ? entity.url : entity.type === 'url' ? piece : '';
  if (/^https?:\/\//i.test(address)) return element('a', { href: address, target: '_blank', rel: 'noopener noreferrer' }, ...children);
  return element('span', {}, ...children);
}

function keys(message) {
  const rows = message.reply_markup?.inline_keyboard;
  if (!rows) return [];
  const key = button => button.url && /^https?:\/\//i.test(button.url)
    ? element('a', { href: button.url, target: '_blank', rel: 'noopener noreferrer' }, button.text)
    : element('button', { type: 'button', onclick: attempt(event => press(event.currentTarget, message, button.callback_data)) }, button.text);
  return [element('div', { class: 'keys' }, ...rows.map(row => element('div', {}, ...row.map(key))))];
}

async function press(node, message, data) {
  node.setAttribute('aria-busy', 'true');
  try {
    const query = await call('press', { person: here.person, room: here.room, message_id: message.message_id, data });
    const answer = await call(`answer/${query}`);
    if (!answer) toast(say('silent'));
    else if (answer.show_alert) { $('notice').firstElementChild.textContent = answer.text; $('notice').showModal(); }
    else if (answer.text) toast(answer.text);
  } finally { node.removeAttribute('aria-busy'); }
}

// ---- the composer

function startReply(message) {
  here.reply = message;
  here.editing = null;
  drawContext();
  $('text').focus();
}

function startEdit(message) {
  here.editing = message;
  here.reply = null;
  $('text').value = message.text || message.caption || '';
  drawContext();
  $('text').focus();
}

function stopContext() {
  if (here.editing) $('text').value = '';
  here.reply = here.editing = null;
  drawContext();
}

function drawContext() {
  const about = here.editing || here.reply;
  $('context').hidden = !about;
  if (!about) return;
  $('context-icon').setAttribute('href', here.editing ? '#i-edit' : '#i-reply');
  $('context-name').textContent = here.editing ? say('edit') : `${say('reply')}: ${fullName(about.from)}`;
  $('context-text').textContent = preview(about);
}

function drawPreviews() {
  $('previews').hidden = !here.files.length;
  $('previews').replaceChildren(...here.files.map(({ file, address }, index) => element('div', {},
    address ? element('img', { src: address, alt: file.name }) : element('span', {}, file.name),
    iconButton('close', `${say('remove')} ${file.name}`, () => { here.files.splice(index, 1); drawPreviews(); }))));
}

function addFiles(list) {
  for (const file of list) here.files.push({ file, address: file.type.startsWith('image/') ? URL.createObjectURL(file) : null });
  drawPreviews();
  $('text').focus();
}

function suggestions() {
  const { role, initials: mark } = person(), isPrivate = roomOf(here.room).chat.type === 'private';
  if (isPrivate) {
    const bot = here.bots.find(b => here.room.endsWith(`:${b.id}`));
    const known = bot.commands.map(c => `/${c.command}`);
    return known.length || bot === here.bots.at(-1) ? known.slice(0, 12) : COLLECTOR_COMMANDS;
  }
  if (role === 'ops') return SOLUTIONS.map(s => s.endsWith('-') ? s + mark : s);
  return role === 'technician' ? PROBLEMS : [];
}

function drawChips() {
  const given = suggestions(), signature = JSON.stringify([given, here.language]);
  if ($('chips').dataset.signature === signature) return;
  $('chips').dataset.signature = signature;
  $('chips').replaceChildren(...given.map(s => element('button', { type: 'button', class: 'pill', onclick: () => suggest(s) }, s)));
}

// An ops answer must be a reply: without one chosen it goes to the last technician's message.
function suggest(words) {
  if (person().role === 'ops' && !here.reply) here.reply = lastProblem(here.room);
  here.editing = null;
  $('text').value = words;
  drawContext();
  $('text').focus();
}

const roleOf = message => here.people.find(p => p.id === message.from.id)?.role;
const lastProblem = key => messagesOf(key).map(m => m.message).filter(m => roleOf(m) === 'technician').at(-1) || null;

async function post({ text: words, files = [], reply = null }) {
  const form = new FormData();
  form.set('person', here.person);
  form.set('room', here.room);
  form.set('text', words);
  if (reply) form.set('reply_to', reply.message_id);
  for (const { file } of files) form.append('photo', file, file.name || 'photo.png');
  here.pinned = true;
  await call('send', form);
}

async function submit() {
  const words = $('text').value.trim();
  if (here.editing) {
    await call('edit', { person: here.person, room: here.room, message_id: here.editing.message_id, text: words });
  } else {
    if (!words && !here.files.length) return;
    await post({ text: words, files: here.files, reply: here.reply });
  }
  $('text').value = '';
  here.files = [];
  here.reply = here.editing = null;
  drawContext();
  drawPreviews();
}

function editLastOwn() {
  const own = messagesOf(here.room).map(m => m.message).filter(m => m.from.id === here.person).at(-1);
  if (own) startEdit(own);
}

// ---- moving about

function open(key) {
  here.drafts.set(`${here.person} ${here.room}`, here.editing ? '' : $('text').value);
  here.room = key;
  here.shown = PAGE;
  here.pinned = true;
  here.reply = here.editing = null;
  here.files = [];
  drawn.clear();
  $('text').value = here.drafts.get(`${here.person} ${key}`) || '';
  history.replaceState(null, '', `#${here.person}/${key}`);
  drawContext();
  drawPreviews();
  draw();
}

function enter(key) {
  document.body.dataset.view = 'talk';
  open(key);
  if (matchMedia('(hover: hover)').matches) $('text').focus();
}

function become(id, wanted = here.room) {
  here.drafts.set(`${here.person} ${here.room}`, here.editing ? '' : $('text').value);
  $('text').value = '';
  here.room = null;
  here.person = Number(id);
  const rooms = myRooms(), home = rooms.find(r => r.chat.id === person().home);
  open((rooms.find(r => r.room === wanted) || home || rooms[0]).room);
}

function fromHash() {
  const [id, key] = decodeURIComponent(location.hash.slice(1)).split('/');
  const known = here.people.find(p => p.id === Number(id)) || here.people[0];
  if (key) document.body.dataset.view = 'talk';
  become(known.id, key);
}

// ---- what to try first

function tourSteps() {
  const all = here.rooms.filter(r => r.chat.type !== 'private').flatMap(r => messagesOf(r.room).map(m => m.message));
  const asked = all.some(m => roleOf(m) === 'technician');
  const solved = all.some(m => roleOf(m) === 'ops' && m.reply_to_message);
  const answered = solved && all.some(m => m.from.is_bot && !isService(m));
  const stats = here.rooms.some(r => r.chat.type === 'private' && messagesOf(r.room).some(m => m.message.from.is_bot));
  const budi = here.people.find(p => p.role === 'technician'), ayu = here.people.find(p => p.role === 'ops');
  const maya = here.people.find(p => p.role === 'admin'), group = String(budi.home), adminBot = here.bots.at(-1);
  const go = (who, key, then) => () => { become(who.id, key); document.body.dataset.view = 'talk'; $('tour').classList.remove('open'); draw(); then?.(); };
  return [
    ['step1', asked, go(budi, group, () => suggest(PROBLEMS[0]))],
    ['step2', solved || (asked && person().role === 'ops'), go(ayu, group)],
    ['step3', solved, go(ayu, group, () => suggest(`${SOLUTIONS[1]}${ayu.initials}`))],
    ['step4', answered, go(ayu, group)],
    adminBot.commands.length && ['step5', stats, go(maya, `${maya.id}:${adminBot.id}`, () => suggest('/stats'))],
  ].filter(Boolean);
}

function drawTour() {
  const steps = tourSteps(), now = steps.findIndex(([, done]) => !done);
  const signature = JSON.stringify([here.language, steps.map(([, done]) => done)]);
  if ($('tour').dataset.signature === signature) return;
  $('tour').dataset.signature = signature;
  $('tour').replaceChildren(element('h2', {}, say('tourTitle')), element('p', {}, say(now < 0 ? 'tourDone' : 'tour')),
    element('ol', {}, ...steps.map(([key, done, go], index) => element('li', { class: done ? 'done' : index === now ? 'now' : '' },
      element('span', { class: 'n', 'aria-hidden': 'true' }, done ? icon('check') : String(index + 1)),
      element('h3', {}, say(key)), element('p', {}, say(`${key}Text`)),
      element('button', { type: 'button', class: 'pill', onclick: () => tourSteps()[index][2]() }, say(`${key}Do`))))));
}

// ---- wiring

function followScroll() {
  const scroll = $('scroll'), below = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight;
  here.pinned = below < 60;
  $('newest').hidden = below < 200;
}

function stayAtEnd() {
  if (here.pinned) $('scroll').scrollTop = $('scroll').scrollHeight;
}

function speak(language) {
  here.language = language;
  localStorage.setItem('language', language);
  document.documentElement.lang = language;
  for (const node of document.querySelectorAll('[data-text]')) node.textContent = say(node.dataset.text);
  $('language').textContent = say('other');
  $('language').title = say('otherName');
  $('language').setAttribute('aria-label', say('otherName'));
  $('text').placeholder = say('write');
  const labels = { text: 'write', send: 'send', attach: 'attach', back: 'back', newest: 'newest', 'context-cancel': 'cancel', rooms: 'rooms', log: 'messages', scroll: 'messages', chips: 'quick', tour: 'help' };
  for (const [id, key] of Object.entries(labels)) $(id).setAttribute('aria-label', say(key));
  for (const id of ['send', 'attach', 'back', 'newest']) $(id).title = say(labels[id]);
}

function wire() {
  $('composer').addEventListener('submit', attempt(submit));
  $('text').addEventListener('keydown', event => {
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) { event.preventDefault(); $('composer').requestSubmit(); }
    if (event.key === 'Escape') stopContext();
    if (event.key === 'ArrowUp' && !$('text').value) { event.preventDefault(); editLastOwn(); }
  });
  $('text').addEventListener('paste', event => {
    const files = [...event.clipboardData.files];
    if (files.length) { event.preventDefault(); addFiles(files); }
  });
  $('attach').addEventListener('click', () => $('files').click());
  $('files').addEventListener('change', () => { addFiles($('files').files); $('files').value = ''; });
  $('context-cancel').addEventListener('click', stopContext);
  $('person').addEventListener('change', () => become($('person').value));
  $('back').addEventListener('click', () => { document.body.dataset.view = 'list'; draw(); });
  $('language').addEventListener('click', () => { speak(here.language === 'id' ? 'en' : 'id'); drawContext(); draw(); });
  $('help').addEventListener('click', () => $('help').setAttribute('aria-expanded', String($('tour').classList.toggle('open'))));
  $('scroll').addEventListener('scroll', followScroll, { passive: true });
  $('newest').addEventListener('click', () => { $('scroll').scrollTop = $('scroll').scrollHeight; });
  const resized = new ResizeObserver(stayAtEnd);  // pictures load, the composer grows
  resized.observe($('log'));
  resized.observe($('scroll'));
  addEventListener('focus', soon);
  addEventListener('hashchange', fromHash);
  const talk = document.querySelector('.talk');
  talk.addEventListener('dragover', event => { event.preventDefault(); talk.classList.add('drop'); });
  talk.addEventListener('dragleave', () => talk.classList.remove('drop'));
  talk.addEventListener('drop', event => { event.preventDefault(); talk.classList.remove('drop'); addFiles(event.dataTransfer.files); });
}

speak(here.language);
wire();
const revision = await loadState();
here.revision = Math.max(0, revision - 2000);
for (let found; (found = await call(`messages?since=${here.revision}`)).length;) remember(found);
fromHash();
listen();
