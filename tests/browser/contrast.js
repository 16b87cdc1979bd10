// The texts of all tables on the page: contrast with what is behind them (WCAG 2.2, 1.4.3), class or
// tag, and the text; the worst first. Opacity counts as the reader sees it.
() => {
  const channel = (v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) =>
    0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const colour = (text) => {
    const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number);
    return [r, g, b, a];
  };
  const over = ([r, g, b, a], below) => [r, g, b].map((v, i) => v * a + below[i] * (1 - a));
  const line = (element) => (element ? [...line(element.parentElement), element] : []);

  const found = [];
  for (const root of document.querySelectorAll(".kfwd, .kfwd-dashboard")) {
    const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const text = texts.currentNode.textContent.trim();
      const element = texts.currentNode.parentElement;
      if (!text || ["STYLE", "SCRIPT", "OPTION"].includes(element.tagName)) continue;
      const styles = line(element).map((each) => getComputedStyle(each));
      const behind = styles.reduce((b, s) => over(colour(s.backgroundColor), b), [255, 255, 255]);
      const [r, g, b, a] = colour(styles.at(-1).color);
      const opacity = styles.reduce((o, s) => o * Number(s.opacity), a);
      const both = [luminance(over([r, g, b, opacity], behind)), luminance(behind)];
      const contrast = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
      found.push([contrast, element.className || element.tagName, text]);
    }
  }
  return found.sort(([one], [other]) => one - other);
}
