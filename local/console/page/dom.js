// Elements are made from text, never from markup: answers are shown as they came.

export const byId = (id) => document.getElementById(id);

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// A sentence with `code` in backquotes, as nodes.
export function withCode(text) {
  return text.split("`").map((part, index) => (index % 2 ? element("code", { textContent: part }) : part));
}

// Sets a text only if it changed: a screen reader may read a live region again if it is set to the same text.
export function setText(id, text) {
  if (byId(id).textContent !== text) byId(id).textContent = text;
}

// A command with a button that copies it. `tell` gets the sentence that says so.
export function copyable(text, name, tell) {
  const shown = element("pre", { textContent: text, tabIndex: 0 });
  const button = element("button", { type: "button", className: "small", textContent: name });
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
      tell("The command is copied.");
    } catch {
      // Without permission for the clipboard, the user can copy the selected text.
      getSelection().selectAllChildren(shown);
      tell("The command is selected: copy it with the keyboard.");
    }
    setTimeout(() => (button.textContent = name), 2000);
  });
  return [shown, button];
}
