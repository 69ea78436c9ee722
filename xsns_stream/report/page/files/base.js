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

// Returns the numbers of an array that Python packed; see packing.py.
async function unpack(packed) {
  const bytes = await inflate(packed.data);
  if (packed.step === undefined) {
    const count = bytes.length / 4;
    const joined = new Uint8Array(bytes.length);
    for (let i = 0; i < count; i += 1) for (let k = 0; k < 4; k += 1) joined[4 * i + k] = bytes[i + k * count];
    return new Float64Array(new Float32Array(joined.buffer));
  }
  const count = bytes.length / 2;
  const values = new Float64Array(count);
  for (let i = 0; i < count; i += 1) {
    const code = bytes[i] | (bytes[i + count] << 8);
    values[i] = code === 65535 ? NaN : ((packed.start + code) * packed.step) / packed.scale;
  }
  return values;
}

// Returns the packed array with the smallest step; a sum of arrays has its number of decimals.
const finest = (...packed) => packed.reduce((one, other) => (other.scale > one.scale ? other : one));

// Returns a packed number as text for a file: 32-bit floats have seven digits, and other numbers those of their step.
function exported(value, packed) {
  if (!finite(value)) return "";
  return packed.scale === undefined ? Number(value.toPrecision(7)) : Number(value.toFixed(Math.round(Math.log10(packed.scale))));
}

const difference = (values, less) => values.map((value, i) => value - less[i]);
const sum = (values, more) => values.map((value, i) => value + more[i]);

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

// Returns a function of (source, target) that reads a matrix without making it square.
function loadPairs(key) {
  if (!state.pairs.has(key)) {
    const raw = data.matrices.find((matrix) => matrix.key === key);
    state.pairs.set(key, (async () => {
      const values = await unpack(raw.values);
      const [S, T] = [raw.rows.length, raw.columns.length];
      return (source, target) => {
        const [i, j] = [raw.rows.indexOf(source), raw.columns.indexOf(target)];
        if (i < 0 || j < 0) return NaN;
        if (!raw.values.symmetric) return values[i * T + j];
        const [a, b] = [Math.min(i, j), Math.max(i, j)];
        return a === b ? NaN : values[a * S - (a * (a + 1)) / 2 + b - a - 1];
      };
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
      const low = raw.low ? await unpack(raw.low) : raw.below ? difference(values, await unpack(raw.below)) : null;
      const high = raw.high ? await unpack(raw.high) : raw.above ? sum(values, await unpack(raw.above)) : null;
      const rowOf = new Map(raw.rows.map((language, i) => [language, i]));
      const columnOf = new Map(raw.columns.map((language, i) => [language, i]));
      const at = (source, target) => {
        const [i, j] = [rowOf.get(source), columnOf.get(target)];
        return i === undefined || j === undefined ? -1 : i * T + j;
      };
      const packed = { values: raw.values, low: raw.low ?? raw.below, high: raw.high ?? raw.above };
      return { ...raw, S, T, values, low, high, packed, rowOf, columnOf, at };
    })());
  }
  return state.matrices.get(key);
}

const finite = Number.isFinite;
const shown = (value, decimals = 3) => (finite(value) ? value.toFixed(decimals).replace("-", "−") : "–");
// Halves are rounded to the even number, as in the files and tables of the verbs.
const whole = (value) => Math.round(value) - (Math.abs(value % 1) === 0.5 && Math.round(value) % 2 !== 0 ? 1 : 0);
const percent = (share) => (finite(share) ? `${whole(100 * share)} %` : "–");

// A number of decimals with which neighbouring values of an extent differ.
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
