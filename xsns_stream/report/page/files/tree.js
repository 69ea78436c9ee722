// Tree: a dendrogram with a cut that divides the languages into clusters.

async function startTree() {
  if (!data.tree) return;
  const { tree } = data;
  const count = tree.languages.length;
  const [status, slider] = [byId("tree-status"), byId("cut")];
  const svg = d3.select("#tree-figure");
  const PITCH = 15;
  const LABELS = 250;
  // Width of the text of a page in pixels, so that letters have the same size on paper as on a screen.
  const PAPER = 700;

  // Nodes as SciPy numbers them: leaves, then joins.
  const nodes = tree.languages.map((language) => ({ language, height: null, children: [] }));
  tree.merges.forEach(([left, right, height], i) => {
    nodes.push({ join: i, height, children: [nodes[left], nodes[right]], support: tree.support ? tree.support[i] : null });
  });
  const root = nodes.at(-1);
  const leaves = [];
  (function place(node) {
    if (!node.children.length) {
      node.y = (leaves.push(node) - 0.5) * PITCH;
    } else {
      node.children.forEach(place);
      node.y = d3.mean(node.children, (child) => child.y);
    }
  })(root);

  // Long names would push the code out of the figure; the title of the label has the whole name.
  const shortened = (name) => (name.length > 28 ? `${name.slice(0, 27)}…` : name);

  // Returns the height of the cut for a number of clusters: between the highest kept join and the lowest undone join.
  function cutHeight(clusters) {
    const heights = tree.merges.map(([, , height]) => height);
    const kept = heights[count - clusters - 1];
    const undone = heights[count - clusters];
    if (undone === undefined) return root.height * 1.02;
    return kept === undefined ? undone * 0.98 : (kept + undone) / 2;
  }

  // Numbers the clusters in the order of the leaves, and gives every node the number of its cluster, or -1 above the cut.
  function assign(clusters) {
    const kept = count - clusters;
    const inside = (node) => !node.children.length || node.join < kept;
    let number = -1;
    (function walk(node, cluster) {
      let own = cluster;
      if (own < 0 && inside(node)) own = number += 1;
      node.cluster = own;
      node.children.forEach((child) => walk(child, own));
    })(root, -1);
    state.clusters = new Map(leaves.map((leaf) => [leaf.language, leaf.cluster]));
  }

  function draw() {
    const width = state.printing ? PAPER : Math.max(480, svg.node().parentNode.clientWidth - 18);
    const height = count * PITCH + 50;
    const heights = tree.merges.map(([, , value]) => value);
    const [low, high] = d3.extent(heights);
    const margin = (high - low) * 0.12 || 0.05;
    const end = low > 0 ? Math.max(0, low - margin) : low - margin;
    const x = d3.scaleLinear([high + margin / 2, end], [14, width - LABELS]);
    svg.attr("width", width).attr("height", height).attr("viewBox", `0 0 ${width} ${height}`);
    svg.selectAll("*").remove();
    svg.append("text").attr("class", "quiet title").attr("x", 14).attr("y", 11)
      .text(`distance, 1 − ${tree.measure} similarity${end > 0 ? "; the axis does not begin at 0" : ""}`);
    svg.append("g").attr("class", "axis").attr("transform", "translate(0,38)").call(d3.axisTop(x).ticks(6));
    const body = svg.append("g").attr("transform", "translate(0,44)");
    const cut = cutHeight(Number(slider.value));
    const at = (node) => (node.children.length ? x(node.height) : width - LABELS);
    const colour = (node) => (node.cluster < 0 ? variable("--quiet") : clusterColour(node.cluster));
    const links = nodes.flatMap((node) => node.children.map((child) => ({ node, child })));
    body.append("g").attr("fill", "none").attr("stroke-width", 1.4).selectAll("path").data(links).join("path")
      .attr("stroke", ({ node, child }) => colour(node.cluster < 0 && child.cluster >= 0 ? child : node))
      .attr("d", ({ node, child }) => `M${at(node)},${node.y}V${child.y}H${at(child)}`);
    body.append("line").attr("x1", x(cut)).attr("x2", x(cut)).attr("y1", -4).attr("y2", count * PITCH)
      .style("stroke", "var(--mark)").attr("stroke-dasharray", "5 4").attr("class", "cut");
    if (tree.support) {
      body.append("g").selectAll("text").data(nodes.filter((node) => node.children.length && node !== root)).join("text")
        .attr("class", "quiet").attr("x", (node) => at(node) + 3).attr("y", (node) => node.y).style("font-size", "9px")
        .attr("dominant-baseline", "central")
        .text((node) => whole(100 * node.support));
    }
    const labels = body.append("g").selectAll("text").data(leaves).join("text")
      .attr("x", width - LABELS + 6).attr("y", (leaf) => leaf.y).attr("dominant-baseline", "central")
      .style("fill", colour).style("cursor", "pointer")
      .style("font-weight", (leaf) => (leaf.language === state.target ? "bold" : null))
      .on("click", (event, leaf) => chooseTarget(leaf.language));
    labels.append("tspan").text((leaf) => `${leaf.cluster + 1}  ${shortened(languages[leaf.language].name)} `);
    labels.append("tspan").attr("class", "quiet").text((leaf) => (languages[leaf.language].name === languages[leaf.language].code ? "" : languages[leaf.language].code));
    labels.append("title").text((leaf) => `${languages[leaf.language].name}: ${languages[leaf.language].family || "family unknown"}`);
  }

  function groups() {
    const found = d3.groups(leaves, (leaf) => leaf.cluster);
    return found.map(([cluster, members]) => ({ cluster, members: members.map((leaf) => languages[leaf.language]) }));
  }

  function update(tell) {
    const clusters = Number(slider.value);
    assign(clusters);
    byId("cut-number").value = clusters;
    const agreement = tree.agreement[clusters - 1];
    const scripts = tree.script_agreement[clusters - 1];
    const found = [
      ...(agreement === null ? [] : [`with the families of ${tree.with_family} languages: ${shown(agreement)}`]),
      ...(scripts === null ? [] : [`with the scripts of ${tree.with_script} languages: ${shown(scripts)}`]),
    ];
    const rand = (found.length ? `adjusted Rand index ${found.join(", ")} (1 is the same division, 0 is chance)` : "")
      + (found.length && agreement === null ? "; " : "")
      + (agreement === null ? "the families of too few languages are known to compare clusters with them" : "");
    const cophenetic = tree.cophenetic === null ? "" : `; correlation of the distances in the tree with the measured distances: ${shown(tree.cophenetic)}`;
    status.textContent = `${clusters} ${clusters === 1 ? "cluster" : "clusters"}; ${rand}${cophenetic}.`;
    draw();
    d3.select("#clusters").selectAll("li").data(groups()).join("li")
      .text(({ members }) => members.map((language) => language.label).join(", "));
    svg.attr("aria-label", `Tree of ${count} languages, cut into ${clusters} clusters; the list below has the same content`);
    if (tell) events.call("cut");
  }

  function cutInto(clusters) {
    slider.value = clusters;
    update(true);
  }

  slider.max = count;
  slider.value = Math.max(2, tree.cut);
  let waiting = null;
  slider.addEventListener("input", () => {
    byId("cut-number").value = slider.value;
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(() => update(true));
  });
  byId("best-cut").addEventListener("click", () => cutInto(tree.cut));
  if (tree.agreement.every((value) => value === null)) byId("best-cut").remove();
  byId("copy-clusters").addEventListener("click", () => {
    const rows = groups().flatMap(({ cluster, members }) => members.map((language) => [cluster + 1, language.code, language.name, language.family]));
    copy(csv([["cluster", "language", "name", "family"], ...rows]), byId("copied-clusters"), "The clusters were");
  });
  events.on("target.tree", draw);
  events.on("theme.tree", draw);
  events.on("resize.tree", draw);
  update(false);
}
