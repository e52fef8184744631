// On paper a page is dark on light, whatever it is on the screen, and says where it comes from.
(() => {
  const page = document.documentElement;
  let theme = null; // on the screen, while the page is printed

  addEventListener("beforeprint", () => {
    theme ??= page.dataset.theme;
    page.dataset.theme = "light";
    const book = document.title.split(" — ").at(-1);
    const source = `${book}, ${location.href.split("#")[0]}`;
    document.querySelector("article")?.setAttribute("data-source", source);
  });

  addEventListener("afterprint", () => {
    page.dataset.theme = theme;
    theme = null;
  });
})();
