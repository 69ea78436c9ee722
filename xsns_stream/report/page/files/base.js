// What all sections share: the data, the languages, the chosen target, messages, and small helpers.

performance.mark("script");
const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("report-data").textContent);
performance.mark("data");
const languages = data.languages.map(([code, name, family, script, latitude, longitude], index) => ({
  index, code, name, family, script, latitude, longitude,
  label: name === code ? code : `${name} (${code})`,
}));
// Sections tell one another what happened: "target", "theme", "cut", "resize".
const events = d3.dispatch("target", "theme", "cut", "resize");
const state = { target: null, clusters: null, matrices: new Map(), pairs: new Map() };

function announce(text) {
  byId("announcer").textContent = text;
}

// ---------------------------------------------------------------------------------------------- numbers

async function inflate(text) {
  const characters = atob(text);
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i += 1) bytes[i] = characters.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Returns the integers of an array that Python packed, counted from zero; NaN is undefined. See packing.py.
async function unpackCodes({ data: text, bytes: width, start }) {
  const bytes = await inflate(text);
  const count = bytes.length / width;
  const codes = new Float64Array(count);
  const nothing = 256 ** width - 1;
  for (let i = 0; i < count; i += 1) {
    let code = 0;
    for (let k = width - 1; k >= 0; k -= 1) code = 256 * code + bytes[i + k * count];
    codes[i] = code === nothing ? NaN : start + code;
  }
  return codes;
}

// The middle of a step is shown with the digits of every number of the step.
const middleOf = (code, { step, scale }) => ((code + 0.5) * step) / scale;

async function unpack(packed) {
  return (await unpackCodes(packed)).map((code) => middleOf(code, packed));
}

// Returns the ends of intervals, which are packed as distances from the steps of the values.
async function unpackEnds(packed, values) {
  const distances = await unpackCodes(packed);
  return distances.map((distance, i) => middleOf(Math.floor((values[i] * packed.scale) / packed.step) - distance, packed));
}

async function unpackMatrix(packed, rows, columns) {
  const values = await unpack(packed);
  if (!packed.symmetric) return values;
  const square = new Float64Array(rows * columns).fill(NaN);
  let k = 0;
  for (let i = 0; i < rows; i += 1) {
    for (let j = i + 1; j < rows; j += 1) {
      square[i * rows + j] = values[k];
      square[j * rows + i] = values[k];
      k += 1;
    }
  }
  return square;
}

// Returns a function of (source, target) that reads a matrix without making it square, and the decimals that it has.
function loadPairs(key) {
  if (!state.pairs.has(key)) {
    const raw = data.matrices.find((matrix) => matrix.key === key);
    state.pairs.set(key, (async () => {
      const values = await unpack(raw.values);
      const [S, T] = [raw.rows.length, raw.columns.length];
      const read = (source, target) => {
        const [i, j] = [raw.rows.indexOf(source), raw.columns.indexOf(target)];
        if (i < 0 || j < 0) return NaN;
        if (!raw.values.symmetric) return values[i * T + j];
        const [a, b] = [Math.min(i, j), Math.max(i, j)];
        return a === b ? NaN : values[a * S - (a * (a + 1)) / 2 + b - a - 1];
      };
      return { read, decimals: raw.values.decimals };
    })());
  }
  return state.pairs.get(key);
}

// Returns a matrix with unpacked values; each is unpacked once.
function loadMatrix(key) {
  if (!state.matrices.has(key)) {
    const raw = data.matrices.find((matrix) => matrix.key === key);
    state.matrices.set(key, (async () => {
      const [S, T] = [raw.rows.length, raw.columns.length];
      const values = await unpackMatrix(raw.values, S, T);
      const low = raw.low ? await unpackEnds(raw.low, values) : null;
      const high = raw.high ? await unpackEnds(raw.high, values) : null;
      const rowOf = new Map(raw.rows.map((language, i) => [language, i]));
      const columnOf = new Map(raw.columns.map((language, i) => [language, i]));
      const at = (source, target) => {
        const [i, j] = [rowOf.get(source), columnOf.get(target)];
        return i === undefined || j === undefined ? -1 : i * T + j;
      };
      return { ...raw, S, T, values, low, high, rowOf, columnOf, at, decimals: raw.values.decimals, endDecimals: (raw.low ?? raw.values).decimals };
    })());
  }
  return state.matrices.get(key);
}

const finite = Number.isFinite;
const shown = (value, decimals = 3) => (finite(value) ? value.toFixed(decimals).replace("-", "−") : "–");
// A half is rounded to the even number, as Python does.
const whole = (value) => (Math.abs(value % 1) === 0.5 ? 2 * Math.round(value / 2) : Math.round(value));
const percent = (share) => (finite(share) ? `${whole(100 * share)} %` : "–");
// A number for a file, without the digits that the page does not have.
const plain = (value, decimals) => (finite(value) ? Number(value.toFixed(Math.min(decimals, 12))) : "");

// Returns a number of decimals with which close values between `low` and `high` differ.
function decimalsOf(low, high) {
  const spread = high - low;
  return spread > 0 ? Math.min(6, Math.max(1, Math.ceil(-Math.log10(spread)) + 2)) : 3;
}

// ---------------------------------------------------------------------------------------------- languages

const folded = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase().trim();
const searchable = languages.map(({ code, name, label }) => [code, name, label].map(folded));

// Returns the language that a reader means by a code, a name, or a part of a name; null if there is none.
function findLanguage(text, among = languages) {
  const word = folded(text);
  if (!word) return null;
  const tests = [
    (parts) => parts.includes(word),
    (parts) => parts.some((part) => part.startsWith(word)),
    (parts) => parts.some((part) => part.includes(word)),
  ];
  for (const test of tests) {
    const found = among.filter(({ index }) => test(searchable[index]));
    if (found.length) return found.sort((a, b) => a.name.length - b.name.length || d3.ascending(a.name, b.name))[0];
  }
  return null;
}

// Makes an input a search for a language. `choose` gets the language.
function languageInput(input, status, choose, among = languages) {
  input.addEventListener("focus", () => input.select());
  input.addEventListener("change", () => {
    if (!input.value.trim()) return;
    const found = findLanguage(input.value, among);
    if (found) {
      input.value = found.label;
      choose(found);
    } else {
      status.textContent = `No language matches “${input.value}”.`;
    }
  });
}

function chooseTarget(index) {
  if (index === state.target) return;
  state.target = index;
  announce(`Target: ${languages[index].label}`);
  events.call("target");
}

// ---------------------------------------------------------------------------------------------- text

const quoted = (cell) => {
  const text = String(cell ?? "");
  // A spreadsheet reads text that begins with these characters as a formula.
  const safe = /^[=+\-@\t\r]/.test(text) && typeof cell !== "number" ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
};
const csv = (rows) => rows.map((row) => row.map(quoted).join(",")).join("\n") + "\n";

// Copies text, and says so in an element that is empty again after some seconds.
async function copy(text, notice, what) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.body.appendChild(document.createElement("textarea"));
    area.value = text;
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  notice.textContent = `${what} copied as CSV.`;
  clearTimeout(clearing.get(notice));
  clearing.set(notice, setTimeout(() => { notice.textContent = ""; }, 5000));
}
const clearing = new Map();

// Shows text beside the pointer within a container; hides it without text.
function showTip(tip, text, x, y, width) {
  tip.hidden = !text;
  if (!text) return;
  tip.textContent = text;
  const left = x + 16 + tip.offsetWidth > width ? x - 12 - tip.offsetWidth : x + 16;
  tip.style.left = `${Math.max(0, left)}px`;
  tip.style.top = `${y + 14}px`;
}

const variable = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
