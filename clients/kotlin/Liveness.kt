// A client of the Face Liveness Broker, for Android 5 (API level 21) or newer, and for other JVMs. It needs Kotlin's
// standard library alone. ../README.md shows how to use it.

package faceliveness

import java.io.IOException
import java.net.HttpURLConnection
import java.net.URI
import java.util.UUID
import kotlin.math.ceil
import kotlin.math.max
import kotlin.math.pow
import kotlin.random.Random

// The service answers within ten seconds; the rest is for the network.
private const val ANSWER_MILLISECONDS = 15_000
// A result is there a moment after the check. This is for slow networks, and for a service that limits its calls.
private const val RESULT_SECONDS = 90.0
private const val NO_DIGEST_SECONDS = 20.0

/** Where keys and digests are kept, such as `SharedPreferences`. Values must be there after a restart of the app. */
interface LivenessStorage {
    operator fun get(name: String): String?

    /** Stores a value, or removes it where it is null, before it returns. */
    operator fun set(name: String, value: String?)
}

/** The body of a create: docs/api.md. Without a device id, a random one of this installation is sent. */
data class LivenessRequest(
    val livenessOperationMode: String = "Passive",
    val deviceCorrelationId: String? = null,
    val authTokenTimeToLiveInSeconds: Int? = null,
    val sendResultsToClient: Boolean? = null,
    val clientReference: String? = null,
)

/** `authToken` is for the Vision SDK. It is never stored. */
class LivenessSession(val sessionId: String, val authToken: String, val expiresAt: String? = null)

/** `TRY_AGAIN`: the person may repeat the check in this session. `DONE`: the service hides the result from phones. */
enum class Outcome(val sentence: String) {
    PASSED("The check was successful."),
    FAILED("The check was not successful."),
    TRY_AGAIN("The check did not work. Please try again."),
    EXPIRED("The check took too long. Please start a new one."),
    DONE("The check is complete."),
}

/** What the service knows about a session: docs/api.md. Fields that the service left out are null. */
class LivenessResult internal constructor(answer: Map<*, *>) {
    val status = answer["status"] as? String
    val sessionId = answer["sessionId"] as? String
    val passed = answer["passed"] as? Boolean
    val livenessDecision = answer["livenessDecision"] as? String
    val digestMatches = answer["digestMatches"] as? Boolean
    val abuseDetected = answer["abuseDetected"] as? Boolean
    val attempts = (answer["attempts"] as? Number)?.toInt() ?: 0
    val failureCode = (answer["failure"] as? Map<*, *>)?.get("code") as? String
    internal val isFinal = status == "ResultAvailable" || status == "Expired"
    internal val retryAfterSeconds = (answer["retryAfterSeconds"] as? Number)?.toDouble()

    val outcome = when {
        status == "Expired" -> Outcome.EXPIRED
        !isFinal -> Outcome.TRY_AGAIN
        passed == null -> Outcome.DONE
        else -> if (passed) Outcome.PASSED else Outcome.FAILED
    }

    /** What to tell the person, in English. */
    val tell = FAILURES[failureCode].takeIf { outcome in setOf(Outcome.TRY_AGAIN, Outcome.FAILED) } ?: outcome.sentence
}

/** `NOW`: the client has tried again for as long as that helps. The others are for the person: see docs/errors.md. */
enum class Again { NOW, LATER, NEW_SESSION, NEVER }

/**
 * A call that failed. `message` is for developers, `tell` is for people.
 *
 * `code` is one of docs/errors.md, `NoConnection`, `NoResultYet`, or `Http` with a status that a gateway answered.
 * `status` is 0 where there was no answer. `requestId` is for the operator of the service.
 */
class LivenessError(
    val code: String,
    message: String = code,
    val status: Int = 0,
    val requestId: String? = null,
    val target: String? = null,
    val retryAfterSeconds: Double? = null,
    cause: Throwable? = null,
) : Exception(message, cause) {
    private val row = ERRORS[code] ?: OTHER_ERRORS["$status"] ?: OTHER_ERRORS.getValue(if (status >= 500) "server" else "client")
    val again = row.again
    val atMost = row.atMost
    val tell = row.tell.replace("{wait}", inWords(retryAfterSeconds ?: 60.0))
}

/**
 * `url` is the address of the service. `accessToken` returns the bearer token of the person or the transaction, where
 * callers sign in; it is asked for each request. `sleep` waits for milliseconds: give `{ delay(it) }`, so that a wait
 * ends with its coroutine.
 *
 * Calls block their thread while they ask the service. On Android call them in `withContext(Dispatchers.IO)`.
 */
class LivenessClient(
    url: String,
    private val storage: LivenessStorage,
    private val accessToken: suspend () -> String? = { null },
    private val sleep: suspend (Long) -> Unit = { Thread.sleep(it) },
    private val now: () -> Long = { System.nanoTime() / 1_000_000 },
) {
    private val url = url.trimEnd('/')

    /**
     * Do the whole check. `perform` gets Face's token, lets the Vision SDK do the check, and returns the SDK's digest.
     *
     * A check that was interrupted goes on where it stopped when this is called with the same name and request again.
     * `name` tells checks that go on at the same time apart. Throws `LivenessError`.
     */
    suspend fun check(
        name: String = "check",
        request: LivenessRequest = LivenessRequest(),
        perform: suspend (authToken: String, session: LivenessSession) -> String?,
    ): LivenessResult {
        val session = create(name, request)
        var kept = load(name)
        if ("digest" !in kept) {
            // Null, where the SDK ended without one.
            kept = kept + ("digest" to perform(session.authToken, session)?.ifEmpty { null })
            save(name, kept)
        }
        val digest = kept["digest"] as? String
        val result = try {
            result(session, digest, (kept["attempts"] as? Number)?.toInt() ?: 0)
        } catch (error: LivenessError) {
            // Without a digest nothing reached Face, or nothing is told of it: the next check performs again.
            if (error.code == "NoResultYet" && digest == null) save(name, kept - "digest")
            throw error
        }
        save(name, if (result.outcome == Outcome.TRY_AGAIN) kept - "digest" + ("attempts" to result.attempts) else null)
        return result
    }

    /** Create the session of a check, or get it again: also after a restart of the app. */
    suspend fun create(name: String = "check", request: LivenessRequest = LivenessRequest()): LivenessSession {
        val body = mapOf(
            "livenessOperationMode" to request.livenessOperationMode,
            "deviceCorrelationId" to (request.deviceCorrelationId ?: deviceId()),
            "authTokenTimeToLiveInSeconds" to request.authTokenTimeToLiveInSeconds,
            "sendResultsToClient" to request.sendResultsToClient,
            "clientReference" to request.clientReference,
        )
        val text = toJson(body.filterValues { it != null })
        val kept = load(name).takeIf { it["text"] == text } ?: mapOf("text" to text)
        val answer = create(name, text, kept)
        val session = LivenessSession(answer["sessionId"] as String, answer["authToken"] as String, answer["expiresAt"] as? String)
        if (kept["sessionId"] != session.sessionId) {
            // A digest belongs to one session.
            save(name, mapOf("key" to load(name)["key"], "text" to text, "sessionId" to session.sessionId))
        }
        return session
    }

    private suspend fun create(name: String, text: String, kept: Map<*, *>): Map<*, *> {
        // Stored before it is sent: whatever ends the app, the same key gets the same session.
        val key = kept["key"] as? String ?: UUID.randomUUID().toString()
        save(name, kept + ("key" to key))
        try {
            val headers = mapOf("Content-Type" to "application/json", "Idempotency-Key" to key)
            return send("POST", "/api/sessions", headers, text, fields = listOf("sessionId", "authToken"))
        } catch (error: LivenessError) {
            if (error.again == Again.NEW_SESSION) save(name, null)
            if (error.code != "IdempotencyKeyReused" || "key" !in kept) throw error
            // The session of the stored key was revoked.
            return create(name, text, mapOf("text" to text))
        }
    }

    /**
     * Ask until there is a result, or until an attempt failed that the person may repeat (`Outcome.TRY_AGAIN`).
     *
     * `digest` is what the Vision SDK returned. It is compared once: send nothing else. `attempts` is how many attempts
     * are known to have failed. Without a digest the SDK may have ended before anything reached Face.
     */
    suspend fun result(
        session: LivenessSession,
        digest: String? = null,
        attempts: Int = 0,
        seconds: Double = if (digest == null) NO_DIGEST_SECONDS else RESULT_SECONDS,
    ): LivenessResult {
        val end = now() + seconds * 1000
        val headers = buildMap {
            put("X-Session-Token", session.authToken)
            if (digest != null) put("X-Client-Digest", digest)
        }
        while (true) {
            val result = LivenessResult(send("GET", pathOf(session), headers, fields = listOf("status"), end = end))
            if (result.isFinal || (result.failureCode != null && result.attempts > attempts)) return result
            val pause = milliseconds(result.retryAfterSeconds ?: 2.0)
            if (now() + pause > end) throw LivenessError("NoResultYet", retryAfterSeconds = result.retryAfterSeconds)
            sleep(pause)
        }
    }

    /** End a session and its token. A check that was made counts all the same. */
    suspend fun revoke(session: LivenessSession, name: String = "check") {
        try {
            send("DELETE", pathOf(session), mapOf("X-Session-Token" to session.authToken))
        } catch (error: LivenessError) {
            if (error.code != "SessionNotFound") throw error
        }
        save(name, null)
    }

    /** A random id of this installation, which is kept. */
    fun deviceId(): String =
        storage["liveness.device"] ?: UUID.randomUUID().toString().also { storage["liveness.device"] = it }

    // Send a request, and again as the catalogue of errors says. No repeat comes after `end`. `fields` are those that an
    // answer of the service has.
    private suspend fun send(
        method: String,
        path: String,
        headers: Map<String, String>,
        body: String? = null,
        fields: List<String> = emptyList(),
        end: Double = Double.POSITIVE_INFINITY,
    ): Map<*, *> {
        val start = now()
        var tries = 0
        while (true) {
            try {
                val token = accessToken()
                val sent = if (token == null) headers else headers + ("Authorization" to "Bearer $token")
                val answer = sendOnce(method, path, sent, body)
                if (fields.any { answer[it] !is String }) throw LivenessError("NoConnection")
                return answer
            } catch (error: LivenessError) {
                if (error.again != Again.NOW) throw error
                // Never sooner than the service says. The rest doubles, and is spread so that phones do not return together.
                val pause = milliseconds((error.retryAfterSeconds ?: 0.0) + 2.0.pow(tries++) * (1 + Random.nextDouble() / 2))
                if (now() + pause > minOf(start + error.atMost * 1000.0, end)) throw error
                sleep(pause)
            }
        }
    }

    private fun sendOnce(method: String, path: String, headers: Map<String, String>, body: String?): Map<*, *> {
        try {
            val connection = URI(url + path).toURL().openConnection() as HttpURLConnection
            connection.requestMethod = method
            connection.connectTimeout = ANSWER_MILLISECONDS
            connection.readTimeout = ANSWER_MILLISECONDS
            connection.useCaches = false
            // The service never redirects, and the tokens are for nobody else.
            connection.instanceFollowRedirects = false
            for ((name, value) in headers) connection.setRequestProperty(name, value)
            if (body != null) {
                connection.doOutput = true
                connection.outputStream.use { it.write(body.toByteArray()) }
            }
            val status = connection.responseCode
            val stream = if (status < 400) connection.inputStream else connection.errorStream
            val text = stream?.use { it.readBytes().decodeToString() }.orEmpty()
            if (status !in 200..299) throw errorOf(status, connection.getHeaderField("Retry-After"), text)
            return if (text.isEmpty()) emptyMap<String, Any?>() else JsonReader(text).readObject()
        } catch (error: IOException) {
            throw LivenessError("NoConnection", cause = error)
        } catch (error: MalformedJson) {
            // Such as the page of a hotel's network.
            throw LivenessError("NoConnection", cause = error)
        }
    }

    private fun load(name: String): Map<*, *> =
        try {
            JsonReader(storage["liveness.check.$name"].orEmpty()).readObject()
        } catch (other: MalformedJson) {
            // Nothing, or written by something else, or only in part.
            emptyMap<String, Any?>()
        }

    // Never the token: the key gets it again from the service, as long as it is valid.
    private fun save(name: String, kept: Map<*, *>?) {
        storage["liveness.check.$name"] = kept?.let(::toJson)
    }
}

private fun errorOf(status: Int, retryAfter: String?, text: String): LivenessError {
    val error = try {
        JsonReader(text).readObject()["error"] as? Map<*, *>
    } catch (gateway: MalformedJson) {
        // A gateway in front of the service answers without JSON.
        null
    }
    return LivenessError(
        code = error?.get("code") as? String ?: "Http$status",
        message = error?.get("message") as? String ?: "Http$status",
        status = status,
        requestId = error?.get("requestId") as? String,
        target = error?.get("target") as? String,
        retryAfterSeconds = (error?.get("retryAfterSeconds") as? Number)?.toDouble() ?: retryAfter?.toDoubleOrNull(),
    )
}

/** What to tell the person about an error of the Vision SDK, such as `CAMERA_PERMISSION_DENIED`; null for an unknown one. */
fun sentenceFor(reason: String): String? =
    FAILURES.entries.find { it.key.equals(reason.replace("_", ""), ignoreCase = true) }?.value

private fun pathOf(session: LivenessSession) = "/api/sessions/${session.sessionId}"

private fun milliseconds(seconds: Double) = ceil(seconds * 1000).toLong()

private fun inWords(seconds: Double): String {
    val (amount, unit) = when {
        seconds < 60 -> seconds to "second"
        seconds < 5400 -> seconds / 60 to "minute"
        else -> seconds / 3600 to "hour"
    }
    val whole = max(1, ceil(amount).toInt())
    return "$whole $unit${if (whole == 1) "" else "s"}"
}

// Android has org.json, and other JVMs have nothing: this is enough for both.
private fun toJson(value: Any?): String = when (value) {
    is Map<*, *> -> value.entries.joinToString(",", "{", "}") { (name, item) -> "${toJson(name)}:${toJson(item)}" }
    is String -> value.map { if (it in "\"\\" || it < ' ') "\\u%04x".format(it.code) else "$it" }.joinToString("", "\"", "\"")
    else -> "$value"
}

private class MalformedJson(message: String) : Exception(message)

private class JsonReader(private val text: String) {
    private var at = 0

    fun readObject(): Map<*, *> {
        val value = value()
        if (value !is Map<*, *> || peek() != null) fail()
        return value
    }

    private fun value(): Any? = when (peek()) {
        '{' -> items('}') { string().also { expect(':') } to value() }.toMap()
        '[' -> items(']') { value() }
        '"' -> string()
        else -> when (val word = text.substring(at).takeWhile { it.isLetterOrDigit() || it in "+-." }.also { at += it.length }) {
            "true" -> true
            "false" -> false
            "null" -> null
            else -> word.toDoubleOrNull() ?: fail()
        }
    }

    private fun <T> items(end: Char, item: () -> T): List<T> = buildList {
        at += 1
        var more = peek() != end
        while (more) {
            add(item())
            more = peek() == ','
            if (more) at += 1
        }
        expect(end)
    }

    private fun string(): String = buildString {
        expect('"')
        while (true) {
            when (val char = next()) {
                '"' -> return@buildString
                '\\' -> append(escaped(next()))
                else -> append(char)
            }
        }
    }

    private fun escaped(char: Char): Char = when (char) {
        'b' -> '\b'
        'f' -> '\u000c'
        'n' -> '\n'
        'r' -> '\r'
        't' -> '\t'
        'u' -> String(CharArray(4) { next() }).toIntOrNull(16)?.toChar() ?: fail()
        else -> char
    }

    private fun peek(): Char? {
        while (text.getOrNull(at)?.isWhitespace() == true) at += 1
        return text.getOrNull(at)
    }

    private fun next(): Char = text.getOrNull(at++) ?: fail()

    private fun expect(char: Char) {
        if (peek() != char) fail()
        at += 1
    }

    private fun fail(): Nothing = throw MalformedJson("No JSON at $at")
}

internal class ErrorRow(val again: Again, val atMost: Int, val tell: String)

// Made by `make reference`; the sources are shared/web/catalogue.py and scripts/results.py.
private val ERRORS = mapOf(
    "InvalidRequestBody" to ErrorRow(Again.NEVER, 0, "This app has a problem. Please update it, or contact support."),
    "InvalidTokenLifetime" to ErrorRow(Again.NEVER, 0, "This app has a problem. Please update it, or contact support."),
    "InvalidLivenessOperationMode" to ErrorRow(Again.NEVER, 0, "This app has a problem. Please update it, or contact support."),
    "InvalidDeviceCorrelationId" to ErrorRow(Again.NEVER, 0, "This app has a problem. Please update it, or contact support."),
    "InvalidIdempotencyKey" to ErrorRow(Again.NEVER, 0, "This app has a problem. Please update it, or contact support."),
    "InvalidStart" to ErrorRow(Again.NEVER, 0, "This app has a problem. Please update it, or contact support."),
    "InvalidTop" to ErrorRow(Again.NEVER, 0, "This app has a problem. Please update it, or contact support."),
    "Unauthorized" to ErrorRow(Again.NOW, 5, "Please sign in again."),
    "Forbidden" to ErrorRow(Again.NEVER, 0, "This app has a problem. Please update it, or contact support."),
    "SessionNotFound" to ErrorRow(Again.NEW_SESSION, 0, "This check has ended. Please start a new one."),
    "NotFound" to ErrorRow(Again.NEVER, 0, "This app has a problem. Please update it, or contact support."),
    "MethodNotAllowed" to ErrorRow(Again.NEVER, 0, "This app has a problem. Please update it, or contact support."),
    "LengthRequired" to ErrorRow(Again.NEVER, 0, "This app has a problem. Please update it, or contact support."),
    "RequestTooLarge" to ErrorRow(Again.NEVER, 0, "This app has a problem. Please update it, or contact support."),
    "BadArgument" to ErrorRow(Again.NEVER, 0, "This app has a problem. Please update it, or contact support."),
    "IdempotencyInProgress" to ErrorRow(Again.NOW, 60, "The check is not available right now. Please try again in a few minutes."),
    "IdempotencyKeyReused" to ErrorRow(Again.NEW_SESSION, 0, "This check has ended. Please start a new one."),
    "DeviceThrottled" to ErrorRow(Again.LATER, 0, "There were too many checks on this device. Please try again in {wait}."),
    "ClientThrottled" to ErrorRow(Again.LATER, 0, "There were too many checks. Please try again in {wait}."),
    "UpstreamFailure" to ErrorRow(Again.NOW, 60, "The check is not available right now. Please try again in a few minutes."),
    "UpstreamUnauthorized" to ErrorRow(Again.LATER, 0, "The check is not available right now. Please try again later."),
    "UpstreamNotApproved" to ErrorRow(Again.LATER, 0, "The check is not available right now. Please try again later."),
    "UpstreamThrottled" to ErrorRow(Again.NOW, 60, "The check is not available right now. Please try again in a few minutes."),
    "UpstreamQuotaExceeded" to ErrorRow(Again.LATER, 0, "The check is not available right now. Please try again later."),
    "StorageUnavailable" to ErrorRow(Again.NOW, 60, "The check is not available right now. Please try again in a few minutes."),
    "KeyUnavailable" to ErrorRow(Again.NOW, 60, "The check is not available right now. Please try again in a few minutes."),
    "UpstreamTimeout" to ErrorRow(Again.NOW, 60, "The check is not available right now. Please try again in a few minutes."),
    "InternalError" to ErrorRow(Again.LATER, 0, "The check is not available right now. Please try again in a few minutes."),
    "NoConnection" to ErrorRow(Again.NOW, 60, "There is no connection to the service. Please check your network, and try again."),
    "NoResultYet" to ErrorRow(Again.LATER, 0, "The check is not available right now. Please try again in a few minutes."),
)

private val OTHER_ERRORS = mapOf(
    "401" to ErrorRow(Again.NOW, 5, "Please sign in again."),
    "429" to ErrorRow(Again.LATER, 0, "There were too many checks. Please try again in {wait}."),
    "client" to ErrorRow(Again.NEVER, 0, "This app has a problem. Please update it, or contact support."),
    "server" to ErrorRow(Again.NOW, 60, "The check is not available right now. Please try again in a few minutes."),
)

private val FAILURES = mapOf(
    "FaceWithMaskDetected" to "Please take your mask off, and try again.",
    "FaceMouthRegionNotVisible" to "Please make sure that nothing covers your mouth, and try again.",
    "FaceEyeRegionNotVisible" to "Please take your glasses off, move hair away from your eyes, and try again.",
    "FaceNotFrontal" to "Please look straight at the camera, and try again.",
    "NoFaceDetected" to "Please hold the camera in front of your face, and try again.",
    "FaceTrackingFailed" to "Please keep your face in view of the camera, and try again.",
    "ExcessiveImageBlurDetected" to "Please clean the lens, hold the camera still, and try again.",
    "ExcessiveFaceBrightness" to "Please turn away from strong light, and try again.",
    "EnvironmentNotSupported" to "Please go where the light is even and not too bright, and try again.",
    "SmileNotPerformed" to "Please smile when you are asked to, and try again.",
    "HeadTurnNotPerformed" to "Please turn your head as shown, and try again.",
    "RandomPoseNotPerformed" to "Please turn your head as shown, and try again.",
    "ActionNotPerformed" to "Please follow the instructions on the screen, and try again.",
    "TimedOut" to "The check took too long. Please try again.",
    "ServerTimedOut" to "Please check your network, and try again.",
    "ServerRequestTimedOut" to "Please check your network, and try again.",
    "CameraPermissionDenied" to "Please allow this app to use the camera, and try again.",
    "CameraStartupFailure" to "Please close other apps that use the camera, and try again.",
    "UserCanceledSession" to "The check was canceled.",
    "UserCanceledActiveMotion" to "The check was canceled.",
    "UserCanceledActiveMotionPrompt" to "The check was canceled.",
    "UserCancelledSession" to "The check was canceled.",
    "UserCancelledActiveMotion" to "The check was canceled.",
    "InvalidToken" to "This check has ended. Please start a new one.",
    "ClientVersionNotSupported" to "This app has a problem. Please update it, or contact support.",
    "VerifyImageNotProvided" to "This app has a problem. Please update it, or contact support.",
    "SetVerifyImageNotAllowed" to "This app has a problem. Please update it, or contact support.",
    "UnexpectedClientError" to "The check did not work. Please try again.",
    "UnexpectedServerError" to "The check did not work. Please try again.",
    "Unexpected" to "The check did not work. Please try again.",
    "GenericFailure" to "The check did not work. Please try again.",
    "Canceled" to "The check was canceled.",
    "NoDecision" to "The check did not work. Please try again.",
    "Unspecified" to "The check did not work. Please try again.",
    "Unfinished" to "The check did not work. Please try again.",
    "UnknownDecision" to "The check was not successful.",
)
// End of the tables.
