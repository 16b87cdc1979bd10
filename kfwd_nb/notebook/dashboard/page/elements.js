// Making elements, and keeping those that are there already.

/** An element with attributes and children; strings become text. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** An element of a picture. */
export function svg(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

export function enable(control, enabled) {
  control.disabled = !enabled;
  control.setAttribute("aria-disabled", String(!enabled));
  return control;
}

/** Replace the children of `parent` by `wanted`, but keep those with an unchanged `data-version`:
 * focus and selections survive an update. So does a button that waits for its answer. */
export function reconcile(parent, wanted) {
  const had = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let at = parent.firstElementChild;
  for (const { key, version, build, fill } of wanted) {
    let child = had.get(key);
    if (child && child.dataset.version !== version) {
      const fresh = build();
      const focused = child.contains(document.activeElement) && document.activeElement.dataset.what;
      for (const busy of child.querySelectorAll("button[aria-busy=true]")) {
        fresh.querySelector(`[data-what="${busy.dataset.what}"]`)?.replaceWith(busy);
      }
      if (at === child) at = fresh;
      child.replaceWith(fresh);
      if (focused) fresh.querySelector(`[data-what="${focused}"]`)?.focus();
      child = fresh;
    }
    child ??= build();
    child.dataset.key = key;
    child.dataset.version = version;
    fill?.(child);
    had.delete(key);
    if (child === at) at = at.nextElementSibling;
    else parent.insertBefore(child, at);
  }
  for (const child of had.values()) child.remove();
}
