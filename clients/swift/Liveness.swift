// A client of the Face Liveness Broker, for iOS 15 or newer, in Swift 5.9. It needs Foundation alone. ../README.md shows
// how to use it.
//
// It was not compiled: there is no Swift compiler where its tests run. They check its syntax and its tables. It does
// what Liveness.kt does, which is compiled and run.

import Foundation

// The service answers within ten seconds; the rest is for the network.
private let answerSeconds: TimeInterval = 15
// A result is there a moment after the check. This is for slow networks, and for a service that limits its calls.
private let resultSeconds: TimeInterval = 90
private let noDigestSeconds: TimeInterval = 20

/// Where keys and digests are kept, such as `UserDefaults`. Values must be there after a restart of the app.
public protocol LivenessStorage: Sendable {
    func get(_ name: String) -> String?

    /// Stores a value, or removes it where it is nil, before it returns.
    func set(_ name: String, _ value: String?)
}

/// The body of a create: docs/api.md. Without a device id, a random one of this installation is sent.
public struct LivenessRequest: Encodable, Sendable {
    public var livenessOperationMode: String
    public var deviceCorrelationId: String?
    public var authTokenTimeToLiveInSeconds: Int?
    public var sendResultsToClient: Bool?
    public var clientReference: String?

    public init(
        livenessOperationMode: String = "Passive",
        deviceCorrelationId: String? = nil,
        authTokenTimeToLiveInSeconds: Int? = nil,
        sendResultsToClient: Bool? = nil,
        clientReference: String? = nil
    ) {
        self.livenessOperationMode = livenessOperationMode
        self.deviceCorrelationId = deviceCorrelationId
        self.authTokenTimeToLiveInSeconds = authTokenTimeToLiveInSeconds
        self.sendResultsToClient = sendResultsToClient
        self.clientReference = clientReference
    }
}

/// `authToken` is for the Vision SDK. It is never stored.
public struct LivenessSession: Decodable, Sendable {
    public let sessionId: String
    public let authToken: String
    public let expiresAt: String?
}

/// `tryAgain`: the person may repeat the check in this session. `done`: the service hides the result from phones.
public enum LivenessOutcome: String, Sendable {
    case passed = "The check was successful."
    case failed = "The check was not successful."
    case tryAgain = "The check did not work. Please try again."
    case expired = "The check took too long. Please start a new one."
    case done = "The check is complete."
}

/// What the service knows about a session: docs/api.md. Fields that the service left out are nil.
public struct LivenessResult: Decodable, Sendable {
    public struct Failure: Decodable, Sendable {
        public let code: String
        public let message: String?
    }

    public let status: String
    public let sessionId: String?
    public let passed: Bool?
    public let livenessDecision: String?
    public let digestMatches: Bool?
    public let abuseDetected: Bool?
    public let attempts: Int?
    public let failure: Failure?
    let retryAfterSeconds: Double?

    var isFinal: Bool { status == "ResultAvailable" || status == "Expired" }

    public var outcome: LivenessOutcome {
        if status == "Expired" { return .expired }
        if !isFinal { return .tryAgain }
        guard let passed else { return .done }
        return passed ? .passed : .failed
    }

    /// What to tell the person, in English.
    public var tell: String {
        if outcome == .tryAgain || outcome == .failed, let failure, let sentence = failures[failure.code] {
            return sentence
        }
        return outcome.rawValue
    }
}

/// `now`: the client has tried again for as long as that helps. The others are for the person: see docs/errors.md.
public enum LivenessAgain: Sendable {
    case now, later, newSession, never
}

/// A call that failed. `message` is for developers, `tell` is for people.
///
/// `code` is one of docs/errors.md, `NoConnection`, `NoResultYet`, or `Http` with a status that a gateway answered.
/// `status` is 0 where there was no answer. `requestId` is for the operator of the service.
public struct LivenessError: Error, Sendable {
    public let code: String
    public let message: String
    public let status: Int
    public let requestId: String?
    public let target: String?
    public let retryAfterSeconds: Double?
    public let again: LivenessAgain
    public let atMost: Int
    public let tell: String

    init(
        _ code: String,
        message: String? = nil,
        status: Int = 0,
        requestId: String? = nil,
        target: String? = nil,
        retryAfterSeconds: Double? = nil
    ) {
        self.code = code
        self.message = message ?? code
        self.status = status
        self.requestId = requestId
        self.target = target
        self.retryAfterSeconds = retryAfterSeconds
        let unknown = ErrorRow(.later, 0, LivenessOutcome.tryAgain.rawValue)
        let other = otherErrors[String(status)] ?? otherErrors[status >= 500 ? "server" : "client"]
        let row = errors[code] ?? other ?? unknown
        again = row.again
        atMost = row.atMost
        tell = row.tell.replacingOccurrences(of: "{wait}", with: inWords(retryAfterSeconds ?? 60))
    }
}

/// `url` is the address of the service. `accessToken` returns the bearer token of the person or the transaction, where
/// callers sign in; it is asked for each request. Every call throws `LivenessError`, and `CancellationError` when its
/// task is cancelled.
public final class LivenessClient: Sendable {
    private let url: String
    private let storage: any LivenessStorage
    private let accessToken: @Sendable () async throws -> String?
    private let session: URLSession
    private let sleep: @Sendable (TimeInterval) async throws -> Void
    private let now: @Sendable () -> TimeInterval

    public init(
        url: String,
        storage: any LivenessStorage,
        accessToken: @escaping @Sendable () async throws -> String? = { nil },
        session: URLSession = .shared,
        sleep: @escaping @Sendable (TimeInterval) async throws -> Void = {
            try await Task.sleep(nanoseconds: UInt64($0 * 1_000_000_000))
        },
        now: @escaping @Sendable () -> TimeInterval = { ProcessInfo.processInfo.systemUptime }
    ) {
        self.url = url.hasSuffix("/") ? String(url.dropLast()) : url
        self.storage = storage
        self.accessToken = accessToken
        self.session = session
        self.sleep = sleep
        self.now = now
    }

    /// Do the whole check. `perform` gets Face's token, lets the Vision SDK do the check, and returns the SDK's digest.
    ///
    /// A check that was interrupted goes on where it stopped when this is called with the same name and request again.
    /// `name` tells checks that go on at the same time apart.
    public func check(
        name: String = "check",
        request: LivenessRequest = LivenessRequest(),
        perform: @Sendable (_ authToken: String, _ session: LivenessSession) async throws -> String?
    ) async throws -> LivenessResult {
        let session = try await create(name: name, request: request)
        var kept = load(name) ?? Kept()
        if !kept.performed {
            let digest = try await perform(session.authToken, session) ?? ""
            // Nil, where the SDK ended without one.
            kept.digest = digest.isEmpty ? nil : digest
            kept.performed = true
            save(name, kept)
        }
        let result: LivenessResult
        do {
            result = try await self.result(session, digest: kept.digest, attempts: kept.attempts)
        } catch let error as LivenessError {
            if error.code == "NoResultYet", kept.digest == nil {
                // Without a digest nothing reached Face, or nothing is told of it: the next check performs again.
                kept.performed = false
                save(name, kept)
            }
            throw error
        }
        if result.outcome == .tryAgain {
            kept.digest = nil
            kept.performed = false
            kept.attempts = result.attempts ?? 0
            save(name, kept)
        } else {
            save(name, nil)
        }
        return result
    }

    /// Create the session of a check, or get it again: also after a restart of the app.
    public func create(
        name: String = "check",
        request: LivenessRequest = LivenessRequest()
    ) async throws -> LivenessSession {
        var body = request
        body.deviceCorrelationId = request.deviceCorrelationId ?? deviceId()
        let encoder = JSONEncoder()
        // The same request must be the same text after a restart.
        encoder.outputFormatting = [.sortedKeys]
        let text = String(decoding: try encoder.encode(body), as: UTF8.self)
        var kept = load(name) ?? Kept()
        if kept.text != text { kept = Kept(text: text) }
        let session = try await create(name, kept)
        if kept.sessionId != session.sessionId {
            // A digest belongs to one session.
            save(name, Kept(text: text, key: load(name)?.key, sessionId: session.sessionId))
        }
        return session
    }

    private func create(_ name: String, _ kept: Kept) async throws -> LivenessSession {
        // Stored before it is sent: whatever ends the app, the same key gets the same session.
        let key = kept.key ?? UUID().uuidString
        var sent = kept
        sent.key = key
        save(name, sent)
        do {
            let headers = ["Content-Type": "application/json", "Idempotency-Key": key]
            return try await send("POST", "/api/sessions", headers, kept.text) { try decode($0) }
        } catch let error as LivenessError {
            if error.again == .newSession { save(name, nil) }
            guard error.code == "IdempotencyKeyReused", kept.key != nil else { throw error }
            // The session of the stored key was revoked.
            return try await create(name, Kept(text: kept.text))
        }
    }

    /// Ask until there is a result, or until an attempt failed that the person may repeat (`.tryAgain`).
    ///
    /// `digest` is what the Vision SDK returned. It is compared once: send nothing else. `attempts` is how many attempts
    /// are known to have failed. Without a digest the SDK may have ended before anything reached Face.
    public func result(
        _ session: LivenessSession,
        digest: String? = nil,
        attempts: Int = 0,
        seconds: TimeInterval? = nil
    ) async throws -> LivenessResult {
        let end = now() + (seconds ?? (digest == nil ? noDigestSeconds : resultSeconds))
        var headers = ["X-Session-Token": session.authToken]
        headers["X-Client-Digest"] = digest
        while true {
            let result: LivenessResult = try await send("GET", path(of: session), headers, end: end) {
                try decode($0)
            }
            if result.isFinal || (result.failure != nil && (result.attempts ?? 0) > attempts) { return result }
            let pause = result.retryAfterSeconds ?? 2
            if now() + pause > end {
                throw LivenessError("NoResultYet", retryAfterSeconds: result.retryAfterSeconds)
            }
            try await sleep(pause)
        }
    }

    /// End a session and its token. A check that was made counts all the same.
    public func revoke(_ session: LivenessSession, name: String = "check") async throws {
        do {
            try await send("DELETE", path(of: session), ["X-Session-Token": session.authToken]) { _ in }
        } catch let error as LivenessError {
            if error.code != "SessionNotFound" { throw error }
        }
        save(name, nil)
    }

    /// A random id of this installation, which is kept.
    public func deviceId() -> String {
        if let kept = storage.get("liveness.device") { return kept }
        let made = UUID().uuidString
        storage.set("liveness.device", made)
        return made
    }

    // Send a request, and again as the catalogue of errors says. No repeat comes after `end`.
    private func send<Answer>(
        _ method: String,
        _ path: String,
        _ headers: [String: String],
        _ body: String? = nil,
        end: TimeInterval = .infinity,
        read: (Data) throws -> Answer
    ) async throws -> Answer {
        let start = now()
        var tries = 0
        while true {
            do {
                return try read(try await sendOnce(method, path, headers, body))
            } catch let error as LivenessError {
                guard error.again == .now else { throw error }
                // Never sooner than the service says. The rest doubles, and is spread so that phones do not return together.
                let pause = (error.retryAfterSeconds ?? 0) + pow(2, Double(tries)) * Double.random(in: 1...1.5)
                tries += 1
                if now() + pause > min(start + Double(error.atMost), end) { throw error }
                try await sleep(pause)
            }
        }
    }

    private func sendOnce(
        _ method: String,
        _ path: String,
        _ headers: [String: String],
        _ body: String?
    ) async throws -> Data {
        guard let address = URL(string: url + path) else { throw URLError(.badURL) }
        var request = URLRequest(
            url: address,
            cachePolicy: .reloadIgnoringLocalCacheData,
            timeoutInterval: answerSeconds
        )
        request.httpMethod = method
        request.httpBody = body.map { Data($0.utf8) }
        for (name, value) in headers { request.setValue(value, forHTTPHeaderField: name) }
        if let token = try await accessToken() {
            request.setValue("Bearer \(token)", forHTTPHeaderField: "Authorization")
        }
        let data: Data
        let response: URLResponse
        do {
            (data, response) = try await session.data(for: request, delegate: NoRedirects())
        } catch {
            try Task.checkCancellation()
            throw LivenessError("NoConnection", message: error.localizedDescription)
        }
        guard let http = response as? HTTPURLResponse else { throw LivenessError("NoConnection") }
        guard (200..<300).contains(http.statusCode) else { throw errorOf(http, data) }
        return data
    }

    private func load(_ name: String) -> Kept? {
        storage.get("liveness.check.\(name)").flatMap { try? JSONDecoder().decode(Kept.self, from: Data($0.utf8)) }
    }

    // Never the token: the key gets it again from the service, as long as it is valid.
    private func save(_ name: String, _ kept: Kept?) {
        let text = kept.flatMap { try? JSONEncoder().encode($0) }.map { String(decoding: $0, as: UTF8.self) }
        storage.set("liveness.check.\(name)", text)
    }
}

/// The service never redirects, and the tokens are for nobody else.
private final class NoRedirects: NSObject, URLSessionTaskDelegate {
    func urlSession(
        _ session: URLSession, task: URLSessionTask, willPerformHTTPRedirection response: HTTPURLResponse,
        newRequest request: URLRequest
    ) async -> URLRequest? { nil }
}

private struct Kept: Codable {
    var text: String?
    var key: String?
    var sessionId: String?
    var digest: String?
    var performed = false
    var attempts = 0
}

private struct ErrorBody: Decodable {
    struct Content: Decodable {
        let code: String?
        let message: String?
        let requestId: String?
        let target: String?
        let retryAfterSeconds: Double?
    }

    let error: Content?
}

private func errorOf(_ response: HTTPURLResponse, _ data: Data) -> LivenessError {
    // A gateway in front of the service answers without JSON.
    let error = (try? JSONDecoder().decode(ErrorBody.self, from: data))?.error
    return LivenessError(
        error?.code ?? "Http\(response.statusCode)",
        message: error?.message,
        status: response.statusCode,
        requestId: error?.requestId,
        target: error?.target,
        retryAfterSeconds: error?.retryAfterSeconds
            ?? response.value(forHTTPHeaderField: "Retry-After").flatMap { Double($0) }
    )
}

private func decode<Answer: Decodable>(_ data: Data) throws -> Answer {
    do {
        return try JSONDecoder().decode(Answer.self, from: data)
    } catch {
        // It is not the service's: such as the page of a hotel's network.
        throw LivenessError("NoConnection", message: "\(error)")
    }
}

/// What to tell the person about an error of the Vision SDK, such as `cameraPermissionDenied`; nil for an unknown one.
public func livenessSentence(for reason: String) -> String? {
    failures.first { $0.key.lowercased() == reason.lowercased() }?.value
}

private func path(of session: LivenessSession) -> String {
    "/api/sessions/\(session.sessionId)"
}

private func inWords(_ seconds: Double) -> String {
    let (amount, unit) = seconds < 60
        ? (seconds, "second")
        : seconds < 5400 ? (seconds / 60, "minute") : (seconds / 3600, "hour")
    let whole = max(1, Int(amount.rounded(.up)))
    return "\(whole) \(unit)\(whole == 1 ? "" : "s")"
}

private struct ErrorRow: Sendable {
    let again: LivenessAgain
    let atMost: Int
    let tell: String

    init(_ again: LivenessAgain, _ atMost: Int, _ tell: String) {
        self.again = again
        self.atMost = atMost
        self.tell = tell
    }
}

// Made by `make reference`; the sources are shared/web/catalogue.py and scripts/results.py.
private let errors: [String: ErrorRow] = [
    "InvalidRequestBody": ErrorRow(.never, 0, "This app has a problem. Please update it, or contact support."),
    "InvalidTokenLifetime": ErrorRow(.never, 0, "This app has a problem. Please update it, or contact support."),
    "InvalidLivenessOperationMode": ErrorRow(.never, 0, "This app has a problem. Please update it, or contact support."),
    "InvalidDeviceCorrelationId": ErrorRow(.never, 0, "This app has a problem. Please update it, or contact support."),
    "InvalidIdempotencyKey": ErrorRow(.never, 0, "This app has a problem. Please update it, or contact support."),
    "InvalidStart": ErrorRow(.never, 0, "This app has a problem. Please update it, or contact support."),
    "InvalidTop": ErrorRow(.never, 0, "This app has a problem. Please update it, or contact support."),
    "Unauthorized": ErrorRow(.now, 5, "Please sign in again."),
    "Forbidden": ErrorRow(.never, 0, "This app has a problem. Please update it, or contact support."),
    "SessionNotFound": ErrorRow(.newSession, 0, "This check has ended. Please start a new one."),
    "NotFound": ErrorRow(.never, 0, "This app has a problem. Please update it, or contact support."),
    "MethodNotAllowed": ErrorRow(.never, 0, "This app has a problem. Please update it, or contact support."),
    "LengthRequired": ErrorRow(.never, 0, "This app has a problem. Please update it, or contact support."),
    "RequestTooLarge": ErrorRow(.never, 0, "This app has a problem. Please update it, or contact support."),
    "BadArgument": ErrorRow(.never, 0, "This app has a problem. Please update it, or contact support."),
    "IdempotencyInProgress": ErrorRow(.now, 60, "The check is not available right now. Please try again in a few minutes."),
    "IdempotencyKeyReused": ErrorRow(.newSession, 0, "This check has ended. Please start a new one."),
    "DeviceThrottled": ErrorRow(.later, 0, "There were too many checks on this device. Please try again in {wait}."),
    "ClientThrottled": ErrorRow(.later, 0, "There were too many checks. Please try again in {wait}."),
    "UpstreamFailure": ErrorRow(.now, 60, "The check is not available right now. Please try again in a few minutes."),
    "UpstreamUnauthorized": ErrorRow(.later, 0, "The check is not available right now. Please try again later."),
    "UpstreamNotApproved": ErrorRow(.later, 0, "The check is not available right now. Please try again later."),
    "UpstreamThrottled": ErrorRow(.now, 60, "The check is not available right now. Please try again in a few minutes."),
    "UpstreamQuotaExceeded": ErrorRow(.later, 0, "The check is not available right now. Please try again later."),
    "StorageUnavailable": ErrorRow(.now, 60, "The check is not available right now. Please try again in a few minutes."),
    "KeyUnavailable": ErrorRow(.now, 60, "The check is not available right now. Please try again in a few minutes."),
    "UpstreamTimeout": ErrorRow(.now, 60, "The check is not available right now. Please try again in a few minutes."),
    "InternalError": ErrorRow(.later, 0, "The check is not available right now. Please try again in a few minutes."),
    "NoConnection": ErrorRow(.now, 60, "There is no connection to the service. Please check your network, and try again."),
    "NoResultYet": ErrorRow(.later, 0, "The check is not available right now. Please try again in a few minutes."),
]

private let otherErrors: [String: ErrorRow] = [
    "401": ErrorRow(.now, 5, "Please sign in again."),
    "429": ErrorRow(.later, 0, "There were too many checks. Please try again in {wait}."),
    "client": ErrorRow(.never, 0, "This app has a problem. Please update it, or contact support."),
    "server": ErrorRow(.now, 60, "The check is not available right now. Please try again in a few minutes."),
]

private let failures: [String: String] = [
    "FaceWithMaskDetected": "Please take your mask off, and try again.",
    "FaceMouthRegionNotVisible": "Please make sure that nothing covers your mouth, and try again.",
    "FaceEyeRegionNotVisible": "Please take your glasses off, move hair away from your eyes, and try again.",
    "FaceNotFrontal": "Please look straight at the camera, and try again.",
    "NoFaceDetected": "Please hold the camera in front of your face, and try again.",
    "FaceTrackingFailed": "Please keep your face in view of the camera, and try again.",
    "ExcessiveImageBlurDetected": "Please clean the lens, hold the camera still, and try again.",
    "ExcessiveFaceBrightness": "Please turn away from strong light, and try again.",
    "EnvironmentNotSupported": "Please go where the light is even and not too bright, and try again.",
    "SmileNotPerformed": "Please smile when you are asked to, and try again.",
    "HeadTurnNotPerformed": "Please turn your head as shown, and try again.",
    "RandomPoseNotPerformed": "Please turn your head as shown, and try again.",
    "ActionNotPerformed": "Please follow the instructions on the screen, and try again.",
    "TimedOut": "The check took too long. Please try again.",
    "ServerTimedOut": "Please check your network, and try again.",
    "ServerRequestTimedOut": "Please check your network, and try again.",
    "CameraPermissionDenied": "Please allow this app to use the camera, and try again.",
    "CameraStartupFailure": "Please close other apps that use the camera, and try again.",
    "UserCanceledSession": "The check was canceled.",
    "UserCanceledActiveMotion": "The check was canceled.",
    "UserCanceledActiveMotionPrompt": "The check was canceled.",
    "UserCancelledSession": "The check was canceled.",
    "UserCancelledActiveMotion": "The check was canceled.",
    "InvalidToken": "This check has ended. Please start a new one.",
    "ClientVersionNotSupported": "This app has a problem. Please update it, or contact support.",
    "VerifyImageNotProvided": "This app has a problem. Please update it, or contact support.",
    "SetVerifyImageNotAllowed": "This app has a problem. Please update it, or contact support.",
    "UnexpectedClientError": "The check did not work. Please try again.",
    "UnexpectedServerError": "The check did not work. Please try again.",
    "Unexpected": "The check did not work. Please try again.",
    "GenericFailure": "The check did not work. Please try again.",
    "Canceled": "The check was canceled.",
    "NoDecision": "The check did not work. Please try again.",
    "Unspecified": "The check did not work. Please try again.",
    "Unfinished": "The check did not work. Please try again.",
    "UnknownDecision": "The check was not successful.",
]
// End of the tables.
