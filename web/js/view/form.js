// Forms: fields with their labels, what is wrong said beside the button, one try at a time.

import { ApiError } from "../api.js";
import { h } from "../dom.js";
import { texts } from "../texts.js";

let count = 0;

/**
 * A labelled input. `attributes` are the input's; `hint` stands below it.
 * @returns {{element: HTMLElement, input: HTMLInputElement}}
 */
export function field(label, attributes, hint) {
  count += 1;
  const id = `field-${count}`;
  const described = hint && `${id}-hint`;
  const input = h("input", { id, "aria-describedby": described, ...attributes });
  const isCheck = attributes.type === "checkbox";
  const name = h("label", { for: id }, label);
  const element = h(
    "div",
    { class: isCheck ? "field check" : "field" },
    isCheck ? [input, name] : [name, input],
    hint && h("p", { id: described, class: "hint" }, hint),
  );
  return { element, input };
}

/**
 * A form around `children` whose button runs `act`. What `act` throws is told.
 * @param {{submit: string, act: () => Promise<unknown>, explain?: (error: ApiError) => string | undefined}} options
 *   `explain` puts a refusal into words; without any the server's are taken.
 */
export function form({ submit, act, explain = () => undefined }, ...children) {
  const problem = h("p", { class: "problem", role: "alert" });
  const button = h("button", { type: "submit", class: "main" }, submit);
  const run = async (event) => {
    event.preventDefault();
    // The focus may be on the button, and stays there.
    if (button.hasAttribute("aria-disabled")) return;
    button.setAttribute("aria-disabled", "true");
    problem.textContent = "";
    try {
      await act();
    } catch (error) {
      problem.textContent = (error instanceof ApiError && explain(error)) || wordsFor(error);
    } finally {
      button.removeAttribute("aria-disabled");
    }
  };
  return h("form", { class: "form", onsubmit: run }, ...children, problem, button);
}

/** What went wrong, for a person. */
export function wordsFor(error) {
  if (!(error instanceof ApiError)) return texts.unexpected(String(error));
  if (error.code === "rate_limited") return texts.tooOften(error.retryAfter);
  if (error.retryable) return texts.unreachable;
  if (error.code === "internal") return texts.internal(error.requestId);
  return error.message;
}
