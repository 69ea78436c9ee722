// Start: the list of languages for searches, the first target, and every section that the page has.

async function start() {
  d3.select("#language-list").selectAll("option").data(d3.sort(languages, (language) => language.name)).join("option")
    .attr("value", (language) => language.label);
  state.target = data.ranking ? data.ranking.first : data.matrices[0].columns[0];
  for (const section of [startRanking, startHeatMap, startTree, startMaps, startLayers, startEvaluation]) {
    await section();
    performance.mark(section.name);
  }
  let waiting = null;
  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      if (window.innerWidth !== width) {
        width = window.innerWidth;
        events.call("resize");
      }
    }, 120);
  });
  document.documentElement.dataset.ready = "yes";
}

start().catch((error) => {
  const failure = byId("failure");
  failure.hidden = false;
  failure.textContent = `This page could not be drawn: ${error.message}`;
  document.documentElement.dataset.ready = "failed";
  throw error;
});
