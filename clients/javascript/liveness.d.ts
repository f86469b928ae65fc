/** Where keys and digests are kept; `localStorage` is one. Answers may be promises. */
export interface LivenessStorage {
  getItem(name: string): string | null | Promise<string | null>;
  setItem(name: string, value: string): void | Promise<void>;
  removeItem(name: string): void | Promise<void>;
}

export interface LivenessOptions {
  /** The address of the service, such as `https://liveness.example.com`. */
  url: string;
  /** Returns the bearer token of the person or the transaction, where callers sign in. It is asked for each request. */
  accessToken?: () => string | undefined | Promise<string | undefined>;
  /** `localStorage` where there is one, else memory. */
  storage?: LivenessStorage;
  fetch?: typeof globalThis.fetch;
  /** For tests: waits, and ends early with the signal's reason. */
  sleep?: (milliseconds: number, signal?: AbortSignal) => Promise<void>;
  /** For tests: the time in milliseconds. */
  now?: () => number;
}

/** The body of a create: docs/api.md. Without a device id, a random one of this installation is sent. */
export interface LivenessRequest {
  livenessOperationMode?: "Passive" | "PassiveActive";
  deviceCorrelationId?: string;
  authTokenTimeToLiveInSeconds?: number;
  sendResultsToClient?: boolean;
  clientReference?: string;
}

export interface LivenessSession {
  sessionId: string;
  /** For the Vision SDK. */
  authToken: string;
  expiresAt: string;
  resultUrl: string;
}

export interface LivenessResult {
  status: "NotStarted" | "Started" | "ResultAvailable" | "Expired";
  /** `tryAgain`: the person may repeat the check in this session. `done`: the service hides the result from phones. */
  outcome: "passed" | "failed" | "tryAgain" | "expired" | "done";
  /** What to tell the person, in English. */
  tell: string;
  sessionId: string;
  passed?: boolean;
  livenessDecision?: "realface" | "spoofface" | "uncertain" | null;
  digestMatches?: boolean | null;
  abuseDetected?: boolean | null;
  attempts?: number;
  failure?: { code: string; message: string } | null;
  createdDateTime: string;
  expiresAt: string;
}

export class LivenessError extends Error {
  /** A code of docs/errors.md, `NoConnection`, `NoResultYet`, or `Http` with a status that a gateway answered. */
  readonly code: string;
  /** 0 where there was no answer. */
  readonly status: number;
  /** For the operator of the service. */
  readonly requestId?: string;
  readonly target?: string;
  readonly retryAfterSeconds?: number;
  /** `now`: the client has tried again for as long as that helps. */
  readonly again: "now" | "later" | "new session" | "never";
  /** What to tell the person, in English. */
  readonly tell: string;
}

export class LivenessClient {
  constructor(options: LivenessOptions);
  check(options: {
    /** Tells checks that go on at the same time apart. */
    name?: string;
    request?: LivenessRequest;
    /** Returns the digest of the Vision SDK; nothing where the SDK ended without one. */
    perform: (authToken: string, session: LivenessSession) => Promise<string | null | undefined>;
    signal?: AbortSignal;
  }): Promise<LivenessResult>;
  create(options?: { name?: string; request?: LivenessRequest; signal?: AbortSignal }): Promise<LivenessSession>;
  result(
    session: LivenessSession,
    options?: { digest?: string | null; attempts?: number; signal?: AbortSignal; seconds?: number },
  ): Promise<LivenessResult>;
  revoke(session: LivenessSession, options?: { name?: string; signal?: AbortSignal }): Promise<void>;
  deviceId(): Promise<string>;
}

export function memoryStorage(): LivenessStorage;

/** What a person is told, by outcome, and by the code of a failure or of an error of the Vision SDK. */
export const SENTENCES: Readonly<Record<string, string>>;
