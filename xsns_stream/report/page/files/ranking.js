// Ranking: the sources of one target, with intervals, probabilities and expected scores.

async function startRanking() {
  if (!data.ranking) return;
  const main = await loadMatrix(data.matrices[0].key);
  const { expected: packed, basis } = data.ranking;
  const facts = new Map(data.ranking.targets.map((target) => [target.target, target]));
  let expected = null;
  if (packed) {
    const mean = await unpack(packed.mean);
    const decimals = Object.fromEntries(["mean", "low", "high", "measured"].map((key) => [key, packed[key].decimals]));
    expected = {
      ...packed, decimals, mean, measured: await unpack(packed.measured),
      low: await unpackEnds(packed.low, mean), high: await unpackEnds(packed.high, mean),
    };
  }
  const targets = main.columns.map((index) => languages[index]);
  const sources = main.rows.map((index) => languages[index]);
  const status = byId("ranking-status");
  const limits = { text: "", family: "" };

  d3.select("#source-family").selectAll("option.family")
    .data([...new Set(sources.map((source) => source.family).filter(Boolean))].sort(d3.ascending))
    .join("option").attr("class", "family").attr("value", (name) => name).text((name) => name);

  // Returns the sources that the reader allows, and the words that name no source.
  function allowed() {
    const words = limits.text.split(/[,;]/).map((word) => word.trim()).filter(Boolean);
    const found = words.map((word) => findLanguage(word, sources));
    const named = new Set(found.filter(Boolean).map((language) => language.index));
    const unknown = words.filter((_, i) => !found[i]);
    const fits = ({ index, family }) => (!named.size || named.has(index)) && (!limits.family || family === limits.family);
    return { fits, unknown, restricted: named.size > 0 || Boolean(limits.family) };
  }

  function rows(fits) {
    const target = state.target;
    const own = facts.get(target);
    const best = new Map(own ? own.best : []);
    const [level, tied] = [new Set(own ? own.level : []), new Set(own ? own.tied : [])];
    return sources.filter((source) => source.index !== target && fits(source)).map((source) => {
      const at = main.at(source.index, target);
      return {
        source, value: main.values[at],
        low: main.low ? main.low[at] : NaN, high: main.high ? main.high[at] : NaN,
        best: best.get(source.index) ?? (basis && main.low && finite(main.low[at]) ? 0 : NaN),
        level: level.has(source.index), several: level.size > 1, tied: tied.has(source.index),
        expected: expected && { mean: expected.mean[at], low: expected.low[at], high: expected.high[at] },
        measured: expected ? expected.measured[at] : NaN,
      };
    }).sort((a, b) => finite(b.value) - finite(a.value) || b.value - a.value
      || (a.source.code < b.source.code ? -1 : 1));
  }

  // Adds what the rank shows, as in the table of `rank`: `=` marks equal similarities, and `~` sources that cannot be
  // distinguished from the first one.
  function ranked(all, restricted) {
    let rank = 0;
    return all.map((row, i) => {
      const same = (other) => other !== undefined && row.tied && other.tied && other.value === row.value;
      if (!same(all[i - 1])) rank = i + 1;
      const tied = same(all[i - 1]) || same(all[i + 1]);
      const mark = tied ? "=" : row.level && row.several && !restricted ? "~" : "";
      return { ...row, tied, rank: finite(row.value) ? `${rank}${mark}` : "–" };
    });
  }

  // A share of draws is never shown as certain.
  const chance = (share) => (share < 0.005 ? "<1 %" : share >= 0.995 ? ">99 %" : percent(share));

  const WIDTH = 260;
  const score = (value, key) => shown(value, Math.min(scoreDecimals(expected.unit), expected.decimals[key]));
  const columns = (restricted, decimals, ends) => [
    { head: "Rank", text: (row) => row.rank },
    { head: "Source", left: true, source: true },
    { head: "", plot: true, left: true },
    { head: main.title, text: (row) => shown(row.value, decimals) },
    ...(basis ? [
      { head: "95 % interval", text: (row) => (finite(row.low) ? `${shown(row.low, ends)} to ${shown(row.high, ends)}` : "–") },
      ...(restricted ? [] : [
        { head: "P(best)", text: (row) => chance(row.best) },
        { head: "First?", text: (row) => (row.level ? (row.several ? "perhaps" : "yes") : finite(row.low) ? "no" : "–") },
      ]),
    ] : []),
    ...(expected ? [
      { head: `Expected ${expected.name}`, text: (row) => score(row.expected.mean, "mean") },
      { head: "95 % interval", text: (row) => `${score(row.expected.low, "low")} to ${score(row.expected.high, "high")}` },
      { head: "Measured", text: (row) => score(row.measured, "measured") },
    ] : []),
  ];

  function draw() {
    const target = languages[state.target];
    if (!main.columnOf.has(target.index)) return;
    const { fits, unknown, restricted } = allowed();
    const all = ranked(rows(fits), restricted);
    const count = Number(byId("shown-sources").value) || all.length;
    const few = all.slice(0, count);
    const numbers = few.flatMap((row) => [row.value, row.low, row.high]).filter(finite);
    const [low, high] = numbers.length ? d3.extent(numbers) : [0, 1];
    const x = d3.scaleLinear([low, high === low ? low + 1 : high], [8, WIDTH - 8]);
    const decimals = Math.min(main.decimals, decimalsOf(...d3.extent(all.map((row) => row.value).filter(finite))));
    const head = columns(restricted, decimals, Math.min(decimals, main.endDecimals));
    byId("target").value = target.label;
    byId("ranking-caption").textContent = `Sources for ${target.label}: ${few.length} of ${all.length}`;
    d3.select("#ranking-table thead").selectAll("tr").data([0]).join("tr").selectAll("th").data(head).join("th")
      .attr("scope", "col").classed("left", (column) => column.left)
      .text((column) => column.plot ? `${shown(low, decimals)} … ${shown(high, decimals)}` : column.head);
    d3.select("#ranking-table tbody").selectAll("tr").data(few, (row) => row.source.index).join("tr").order()
      .each(function fill(row, i) { fillRow(this, row, i, head, x); });
    const own = facts.get(target.index);
    d3.select("#ranking-sentences").selectAll("li")
      .data([...(own && !restricted ? own.sentences : []), ...data.ranking.worth]).join("li").text((sentence) => sentence);
    const messages = [];
    if (unknown.length) messages.push(`No source matches ${unknown.map((word) => `“${word}”`).join(", ")}.`);
    if (restricted && basis) messages.push("P(best) is known only for the choice among all sources.");
    if (!all.length) messages.push("No source is left.");
    status.textContent = messages.join(" ");
  }

  function fillRow(node, row, i, head, x) {
    const cells = d3.select(node).selectAll("th,td").data(head)
      .join((enter) => enter.append((column) => document.createElement(column.source ? "th" : "td")));
    cells.each(function fillCell(column) {
      const cell = d3.select(this).classed("left", Boolean(column.left));
      if (column.source) {
        cell.attr("scope", "row");
        const button = cell.selectAll("button").data([row]).join("button").attr("type", "button").attr("class", "pick")
          .attr("title", "Choose as target").text(row.source.name).on("click", () => {
            if (main.columnOf.has(row.source.index)) chooseTarget(row.source.index);
          });
        button.attr("disabled", main.columnOf.has(row.source.index) ? null : "");
        cell.selectAll(".code").data(row.source.name === row.source.code ? [] : [row.source.code]).join("span")
          .attr("class", "code").text((code) => ` ${code}`);
      } else if (column.plot) {
        const svg = cell.selectAll("svg").data([row]).join("svg").attr("width", WIDTH).attr("height", 16).attr("viewBox", `0 0 ${WIDTH} 16`).attr("aria-hidden", "true");
        const bars = finite(row.low) ? [row] : [];
        svg.selectAll("line").data(bars).join("line").attr("x1", x(row.low)).attr("x2", x(row.high)).attr("y1", 8).attr("y2", 8)
          .style("stroke", "var(--quiet)").attr("stroke-width", 2);
        svg.selectAll("circle").data(finite(row.value) ? [row] : []).join("circle").attr("cx", x(row.value)).attr("cy", 8).attr("r", 4.5)
          .style("fill", row.level ? "var(--mark)" : "var(--accent)");
      } else {
        cell.text(column.text(row, i));
      }
    });
  }

  function table() {
    // The names of the columns, and the spelling of true and false, are those of `rank -o ranking.csv`.
    const header = ["target", "rank", "language", "name", "similarity", ...(basis ? ["low", "high", "best_probability", "level_with_first"] : []),
      "tied", ...(expected ? ["expected", "expected_low", "expected_high", "measured"] : [])];
    const truth = (value) => (value ? "True" : "False");
    const { fits, restricted } = allowed();
    return [header, ...ranked(rows(fits), restricted).map((row, i) => [
      languages[state.target].code, i + 1, row.source.code, row.source.name, plain(row.value, main.decimals),
      ...(basis ? [plain(row.low, main.endDecimals), plain(row.high, main.endDecimals)] : []),
      ...(basis ? (restricted ? ["", ""] : [plain(row.best, 6), finite(row.low) ? truth(row.level) : ""]) : []),
      truth(row.tied),
      ...(expected ? [
        plain(row.expected.mean, expected.decimals.mean), plain(row.expected.low, expected.decimals.low),
        plain(row.expected.high, expected.decimals.high), plain(row.measured, expected.decimals.measured),
      ] : []),
    ])];
  }

  languageInput(byId("target"), status, (language) => chooseTarget(language.index), targets);
  byId("sources").addEventListener("change", (event) => { limits.text = event.target.value; draw(); });
  byId("source-family").addEventListener("change", (event) => { limits.family = event.target.value; draw(); });
  byId("shown-sources").addEventListener("change", draw);
  byId("copy-ranking").addEventListener("click", () => copy(csv(table()), byId("copied-ranking"), "The ranking was"));
  events.on("target.ranking", draw);
  draw();
}

const scoreDecimals = (unit) => ({ percent: 1, fraction: 3 })[unit] ?? 2;
