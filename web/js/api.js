// Calls the HTTP API: one request, one answer or one ApiError. Knows nothing of who is
// logged in; account.js does.

/** Where the API is: beside the page, wherever that is. */
export const BASE = new URL(".", document.baseURI);

/** How long an answer may take, milliseconds. */
const PATIENCE = 15_000;

/** Nothing came back: the server is away, or the network is. No Code of the API's. */
export const UNREACHABLE = "unreachable";

const RETRYABLE = new Set([UNREACHABLE, "unavailable", "deadline_exceeded", "rate_limited"]);

/** A refusal by the server, in the words of its problem document. */
export class ApiError extends Error {
  constructor(code, detail, { status = 0, retryAfter = 0, requestId = "" } = {}) {
    super(detail);
    this.code = code;
    this.status = status;
    /** Seconds. */
    this.retryAfter = retryAfter;
    this.requestId = requestId;
  }

  /** Whether the same may succeed later. */
  get retryable() {
    return RETRYABLE.has(this.code);
  }
}

/**
 * @param {string} method
 * @param {string} path
 * @param {{body?: object, token?: string, key?: string}} [options] `key` is an Idempotency-Key.
 * @returns {Promise<{body: any, date: number}>} `date`: when the server answered, by its clock.
 */
export async function request(method, path, { body, token, key } = {}) {
  const headers = { Accept: "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (key) headers["Idempotency-Key"] = key;
  if (body) headers["Content-Type"] = "application/json";
  let response;
  let answer;
  try {
    response = await fetch(new URL(path.slice(1), BASE), {
      method,
      headers,
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(PATIENCE),
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
    });
    answer = await response.json().catch(() => null);
  } catch (error) {
    throw new ApiError(UNREACHABLE, String(error));
  }
  if (!response.ok) throw refusal(response, answer);
  return { body: answer, date: Date.parse(response.headers.get("Date")) || Date.now() };
}

function refusal(response, problem) {
  // Whatever stands between may answer too, and not in our words.
  const code = problem?.Code ?? (response.status >= 500 ? "unavailable" : "internal");
  return new ApiError(code, problem?.detail ?? response.statusText, {
    status: response.status,
    retryAfter: Number(response.headers.get("Retry-After")) || 0,
    requestId: problem?.RequestID ?? "",
  });
}
