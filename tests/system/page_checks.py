"""What everybody needs of a page, checked in the browser: names of controls, landmarks, contrast."""

from collections import Counter

CONTROLS = {"button", "textbox", "slider", "spinbutton", "checkbox", "radio", "switch", "combobox", "link", "dialog"}
LEAST_CONTRAST = 4.5

# [text, contrast] of every text that is shown, against the nearest ground that is no glass. Disabled controls are
# exempt, as in WCAG 2.2, 1.4.3.
CONTRASTS = """
const parse = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
const light = (channel) => (channel /= 255) <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4;
const luminance = ([r, g, b]) => 0.2126 * light(r) + 0.7152 * light(g) + 0.0722 * light(b);
const groundOf = (element) => {
  for (let at = element; at !== null; at = at.parentElement) {
    const colour = parse(getComputedStyle(at).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
const found = [];
const judge = (element, text, colour) => {
  const [a, b] = [luminance(parse(colour)), luminance(groundOf(element))];
  found.push([text.slice(0, 40), (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)]);
};
for (const element of document.querySelectorAll("body *")) {
  if (!element.checkVisibility() || element.closest(":disabled, svg, .visually-hidden, .skip")) continue;
  const text = [...element.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data).join("").trim();
  const style = getComputedStyle(element);
  if (text !== "") judge(element, text, style.color);
  if (element.placeholder) judge(element, element.placeholder, getComputedStyle(element, "::placeholder").color);
}
return found;
"""

GROUND = "return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"


def faint_texts(driver) -> list:
    texts = driver.execute_script(CONTRASTS)
    assert len(texts) > 30, "it looked at the page"
    return [(text, round(contrast, 2)) for text, contrast in texts if contrast < LEAST_CONTRAST]


def ground_is_dark(driver) -> bool:
    return sum(driver.execute_script(GROUND)) < 3 * 128


def check_names(driver) -> Counter:
    """Every control has a name in the browser's accessibility tree, every id is one element's. Roles, counted."""
    nodes = [node for node in driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"] if not node["ignored"]]
    roles = Counter(node["role"]["value"] for node in nodes)
    nameless = [node["role"]["value"] for node in nodes
                if node["role"]["value"] in CONTROLS and not node.get("name", {}).get("value", "").strip()]
    assert nameless == []
    assert sum(roles[role] for role in CONTROLS) > 15, "it looked at the page"
    ids = driver.execute_script("return [...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    assert driver.execute_script("return document.documentElement.lang") == "en"
    return roles
