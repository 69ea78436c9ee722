// Colours that colour-blind readers can distinguish, for the light and the dark theme; and the choice of the theme.

const dark = () => document.documentElement.dataset.theme === "dark";
const PALETTES = {
  light: ["#0072b2", "#c85200", "#007f5c", "#b0558c", "#a87000", "#2f92c9", "#5b3fa0"],
  dark: ["#56b4e9", "#ff8a3d", "#2fc795", "#e493c2", "#f0c244", "#9fd6ff", "#b9a3ff"],
};
const palette = () => PALETTES[dark() ? "dark" : "light"];
const GREY = { light: "#7d848e", dark: "#8b929d" };
const grey = () => GREY[dark() ? "dark" : "light"];

// The scale of similarities: high values are far from the colour of the paper.
const scaleColour = (t) => d3.interpolateMagma(dark() ? 0.12 + 0.86 * t : 1 - 0.02 - 0.9 * t);

const triangleDown = {
  draw(context, size) {
    const y = Math.sqrt(size / (Math.sqrt(3) * 3));
    context.moveTo(0, 2 * y);
    context.lineTo(-Math.sqrt(3) * y, -y);
    context.lineTo(Math.sqrt(3) * y, -y);
    context.closePath();
  },
};
const SYMBOLS = [d3.symbolCircle, d3.symbolTriangle, d3.symbolDiamond, d3.symbolCross, d3.symbolStar, d3.symbolWye, triangleDown];
// Gives categories a colour and a shape: seven colours, each with a shape of its own, first filled, then hollow. The
// categories after the first 14 are grey squares.
function categories(values, order = null) {
  const counts = d3.rollups(values.filter(Boolean), (group) => group.length, (value) => value);
  const names = order ?? counts.sort((a, b) => b[1] - a[1] || d3.ascending(a[0], b[0])).map(([name]) => name);
  const place = new Map(names.slice(0, 14).map((name, i) => [name, i]));
  const colour = (value) => (place.has(value) ? palette()[place.get(value) % 7] : grey());
  const symbol = (value) => (place.has(value) ? SYMBOLS[place.get(value) % 7] : d3.symbolSquare);
  const hollow = (value) => place.has(value) && place.get(value) >= 7;
  return { names: names.slice(0, 14), place, colour, symbol, hollow };
}

const clusterColour = (cluster) => palette()[cluster % 7];
const families = categories(languages.map((language) => language.family));

const preferDark = window.matchMedia("(prefers-color-scheme: dark)");
let theme = "auto";
try {
  theme = localStorage.getItem("xsns-theme") || "auto";
} catch {
  // A browser may refuse to store anything for files.
}

function applyTheme() {
  const resolved = theme === "auto" ? (preferDark.matches ? "dark" : "light") : theme;
  if (document.documentElement.dataset.theme === resolved) return;
  document.documentElement.dataset.theme = resolved;
  events.call("theme");
}

byId("theme").value = theme;
applyTheme();
preferDark.addEventListener("change", applyTheme);
byId("theme").addEventListener("change", (event) => {
  theme = event.target.value;
  try {
    localStorage.setItem("xsns-theme", theme);
  } catch {
    // The choice then lasts until the page is closed.
  }
  applyTheme();
});
// Paper is white.
window.addEventListener("beforeprint", () => {
  state.printing = true;
  document.documentElement.dataset.theme = "light";
  events.call("theme");
});
window.addEventListener("afterprint", () => {
  state.printing = false;
  applyTheme();
  events.call("theme");
});
