// Run against a broker and its Face simulator, whose addresses are in BROKER and SIMULATOR.

package faceliveness

import com.sun.net.httpserver.HttpServer
import java.net.InetSocketAddress
import java.net.URI
import java.net.http.HttpClient
import java.net.http.HttpRequest
import java.net.http.HttpResponse
import kotlin.coroutines.Continuation
import kotlin.coroutines.EmptyCoroutineContext
import kotlin.coroutines.startCoroutine
import kotlin.system.exitProcess

private val BROKER: String = System.getenv("BROKER")
private val SIMULATOR: String = System.getenv("SIMULATOR")
private var devices = 0
private var failed = 0

private class MemoryStorage : LivenessStorage {
    val items = mutableMapOf<String, String>()
    override fun get(name: String) = items[name]
    override fun set(name: String, value: String?) {
        if (value == null) items.remove(name) else items[name] = value
    }
}

/** A time that only waiting moves on. */
private class Time {
    val waits = mutableListOf<Long>()
    suspend fun sleep(milliseconds: Long) = synchronized(waits) { waits += milliseconds }
    fun now() = waits.sum()
}

private class Answer(val status: Int, val body: String, val headers: Map<String, String> = emptyMap())

private class Sent(val path: String, val key: String?, val digest: String?, val authorization: String?, val body: String)

private fun test(name: String, work: suspend () -> Unit) {
    var end: Result<Unit>? = null
    // Nothing here suspends: the work has ended when this returns.
    work.startCoroutine(Continuation(EmptyCoroutineContext) { end = it })
    val error = end!!.exceptionOrNull()
    println(if (error == null) "ok $name" else "not ok $name: ${error.stackTraceToString()}")
    if (error != null) failed += 1
}

private fun equal(found: Any?, expected: Any?) = check(found == expected) { "$found is not $expected" }

private fun matches(found: String, pattern: String) = check(Regex(pattern) in found) { "$found does not match $pattern" }

private suspend fun errorOf(work: suspend () -> Unit): LivenessError =
    try {
        work()
        error("There was no error.")
    } catch (error: LivenessError) {
        error
    }

/** A device that no test used before, with an outcome of docs/simulator.md. */
private fun device(outcome: String = "realface") =
    LivenessRequest(deviceCorrelationId = "sim-$outcome.${ProcessHandle.current().pid()}-${devices++}")

private fun client(storage: LivenessStorage = MemoryStorage(), url: String = BROKER) = LivenessClient(url, storage)

private fun client(time: Time, url: String) = LivenessClient(url, MemoryStorage(), sleep = time::sleep, now = time::now)

private fun post(path: String, body: String = "", vararg headers: String): String {
    val request = HttpRequest.newBuilder(URI(SIMULATOR + path)).POST(HttpRequest.BodyPublishers.ofString(body))
    if (headers.isNotEmpty()) request.headers(*headers)
    return HttpClient.newHttpClient().send(request.build(), HttpResponse.BodyHandlers.ofString()).body()
}

/** The phone's Vision SDK, as the simulator plays it. */
private fun perform(authToken: String): String? =
    Regex("\"digest\": ?\"([^\"]*)\"").find(post("/simulator/perform", "", "Authorization", "Bearer $authToken"))?.groupValues?.get(1)

/** A service that gives one answer after the other, and then always the last one. */
private suspend fun against(vararg answers: Answer, work: suspend (url: String, sent: List<Sent>) -> Unit) {
    val sent = mutableListOf<Sent>()
    val server = HttpServer.create(InetSocketAddress("127.0.0.1", 0), 0)
    server.createContext("/") { exchange ->
        val header = exchange.requestHeaders::getFirst
        val answer = answers[minOf(sent.size, answers.lastIndex)]
        sent += Sent(
            exchange.requestURI.path,
            header("Idempotency-Key"),
            header("X-Client-Digest"),
            header("Authorization"),
            exchange.requestBody.readBytes().decodeToString(),
        )
        for ((name, value) in answer.headers) exchange.responseHeaders.set(name, value)
        val body = answer.body.toByteArray()
        exchange.sendResponseHeaders(answer.status, if (body.isEmpty()) -1 else body.size.toLong())
        exchange.responseBody.use { it.write(body) }
    }
    server.start()
    try {
        work("http://127.0.0.1:${server.address.port}", sent)
    } finally {
        server.stop(0)
    }
}

private fun failure(code: String, seconds: Int) = """{"error": {"code": "$code", "retryAfterSeconds": $seconds}}"""

private const val CREATED = """{"sessionId": "a", "authToken": "t", "expiresAt": "2026-01-01T00:00:00Z"}"""
private val SESSION = LivenessSession("a", "t")

fun main() {
    outcomes()
    restarts()
    errors()
    waits()
    answers()
    exitProcess(if (failed == 0) 0 else 1)
}

private fun outcomes() {
    for ((outcome, expected) in mapOf(
        "realface" to listOf(Outcome.PASSED, true, true, "realface"),
        "no-digest" to listOf(Outcome.PASSED, true, null, "realface"),
        "spoofface" to listOf(Outcome.FAILED, false, true, "spoofface"),
        "uncertain" to listOf(Outcome.FAILED, false, true, "uncertain"),
        "digest-mismatch" to listOf(Outcome.FAILED, false, false, "realface"),
        "result-flaky" to listOf(Outcome.PASSED, true, true, "realface"),
    )) {
        test("the outcome of $outcome is ${expected[0]}") {
            val result = client().check(request = device(outcome)) { token, _ -> perform(token) }
            equal(listOf(result.outcome, result.passed, result.digestMatches, result.livenessDecision), expected)
            matches(result.tell, if (result.outcome == Outcome.PASSED) "was successful" else "not successful")
        }
    }
    test("a person may repeat an attempt that failed, in the same session") {
        val broker = client()
        val request = device("second-passes")
        val first = broker.check(request = request) { token, _ -> perform(token) }
        val second = broker.check(request = request) { token, _ -> perform(token) }
        equal(first.outcome to first.failureCode, Outcome.TRY_AGAIN to "FaceWithMaskDetected")
        matches(first.tell, "mask off")
        equal(second.outcome to second.sessionId, Outcome.PASSED to first.sessionId)
    }
    test("a person is told why the last attempt failed") {
        val failure = """{"code": "FaceWithMaskDetected", "message": ""}"""
        against(Answer(200, """{"status": "ResultAvailable", "passed": false, "attempts": 3, "failure": $failure}""")) { url, _ ->
            val result = client(url = url).result(SESSION)
            equal(result.outcome to result.attempts, Outcome.FAILED to 3)
            matches(result.tell, "mask off")
        }
    }
    test("hidden results are done") {
        against(Answer(200, """{"status": "ResultAvailable", "sessionId": "a"}""")) { url, _ ->
            equal(client(url = url).result(SESSION).outcome, Outcome.DONE)
        }
    }
}

private fun restarts() {
    test("the key survives a restart, and gets the same session; a later check has another one") {
        val storage = MemoryStorage()
        val request = device()
        val before = client(storage).create(request = request)
        val after = client(storage).create(request = request)
        check(storage.items.values.none { before.authToken in it }) { "The token is stored." }
        client(storage).check(request = request) { token, _ -> perform(token) }
        val later = client(storage).create(request = request)
        equal(after.sessionId to after.authToken, before.sessionId to before.authToken)
        check(later.sessionId != before.sessionId)
    }
    test("a check that was performed before a restart is not performed again") {
        val storage = MemoryStorage()
        val request = device()
        // The app ends as soon as the digest is stored.
        val ending = object : LivenessStorage by storage {
            override fun set(name: String, value: String?) {
                storage[name] = value
                if (value != null && "\"digest\"" in value) error("the app was closed")
            }
        }
        check(runCatching { client(ending).check(request = request) { token, _ -> perform(token) } }.isFailure)
        val result = client(storage).check(request = request) { _, _ -> error("performed again") }
        equal(result.outcome to result.digestMatches, Outcome.PASSED to true)
    }
    test("where the SDK ended before anything reached Face, the next check performs again") {
        val storage = MemoryStorage()
        val request = device()
        val time = Time()
        val impatient = LivenessClient(BROKER, storage, sleep = time::sleep, now = time::now)
        val error = errorOf { impatient.check(request = request) { _, _ -> null } }
        val result = client(storage).check(request = request) { token, _ -> perform(token) }
        equal(error.code to result.outcome, "NoResultYet" to Outcome.PASSED)
    }
    test("a digest is kept while its result is not there, so that the person performs once") {
        var performed = 0
        val started = Answer(200, """{"sessionId": "a", "authToken": "t", "status": "Started"}""")
        against(started) { url, _ ->
            val broker = client(Time(), url)
            repeat(2) { equal(errorOf { broker.check { _, _ -> "digest-${++performed}" } }.code, "NoResultYet") }
        }
        equal(performed, 1)
    }
    for (kept in listOf("{", "null", "[]", "\"text\"", "7")) {
        test("what cannot be read any more in the storage counts as nothing: $kept") {
            val storage = MemoryStorage().apply { set("liveness.check.check", kept) }
            check(client(storage).create(request = device()).authToken.isNotEmpty())
        }
    }
    test("checks with other names or requests are other sessions") {
        val broker = client()
        val (request, other) = device() to device()
        val sessions = listOf(broker.create("a", request), broker.create("b", request), broker.create("a", other))
        equal(sessions.map { it.sessionId }.toSet().size, 3)
    }
    test("a revoked session is gone, and the next check gets a new one") {
        val storage = MemoryStorage()
        val broker = client(storage)
        val request = device()
        val session = broker.create(request = request)
        val kept = storage["liveness.check.check"]
        broker.revoke(session)
        equal(storage["liveness.check.check"], null)
        val error = errorOf { broker.result(session) }
        equal(error.code to error.again, "SessionNotFound" to Again.NEW_SESSION)
        // As if the app had ended before it could forget the key.
        storage["liveness.check.check"] = kept
        check(broker.create(request = request).sessionId != session.sessionId)
    }
    test("a session that is gone already counts as revoked") {
        against(Answer(404, """{"error": {"code": "SessionNotFound"}}""")) { url, _ ->
            val storage = MemoryStorage().apply { set("liveness.check.check", "{}") }
            client(storage, url).revoke(SESSION)
            equal(storage["liveness.check.check"], null)
        }
    }
    test("without a device id the one of this installation is sent") {
        val storage = MemoryStorage()
        against(Answer(201, CREATED)) { url, sent ->
            client(storage, url).create("a")
            client(storage, url).create("b")
            matches(sent[0].body, "\"deviceCorrelationId\":\"[0-9a-f-]{36}\"")
            equal(sent[1].body, sent[0].body)
        }
    }
}

private fun errors() {
    for ((outcome, expected) in mapOf(
        "create-401" to ("UpstreamUnauthorized" to Again.LATER),
        "create-quota" to ("UpstreamQuotaExceeded" to Again.LATER),
        "create-403" to ("UpstreamNotApproved" to Again.LATER),
        "create-500" to ("UpstreamFailure" to Again.NOW),
    )) {
        test("the error of $outcome is ${expected.first}") {
            val time = Time()
            val error = errorOf { client(time, BROKER).create(request = device(outcome)) }
            equal(error.code to error.again, expected)
            equal(time.waits.isNotEmpty(), error.again == Again.NOW)
            matches(error.tell, "not available right now")
        }
    }
    test("a device with too many checks is told how long to wait, and not asked again") {
        val time = Time()
        val broker = client(time, BROKER)
        val request = device()
        for (name in "abcde") broker.create("$name", request)
        val error = errorOf { broker.create("f", request) }
        equal(listOf(error.code, error.status, error.again, time.waits.size), listOf("DeviceThrottled", 429, Again.LATER, 0))
        matches(error.tell, "on this device\\. Please try again in 1[01] minutes\\.$")
    }
    test("a wrong request is not sent again, and names the field") {
        val error = errorOf { client().create(request = LivenessRequest(livenessOperationMode = "Other")) }
        equal(listOf(error.code, error.again, error.target), listOf("InvalidLivenessOperationMode", Again.NEVER, "livenessOperationMode"))
        matches(error.requestId!!, "-")
    }
    test("a create that Face fails is sent again") {
        post("/simulator/fault", """{"status": 500, "count": 1, "call": "create"}""")
        client().create(request = device())
    }
    test("no connection is told, after some tries") {
        val time = Time()
        val error = errorOf { client(time, "http://127.0.0.1:1").create() }
        equal(listOf(error.code, error.status, error.again), listOf("NoConnection", 0, Again.NOW))
        check(time.waits.size >= 5)
    }
    for ((status, again) in mapOf(401 to Again.NOW, 403 to Again.NEVER, 404 to Again.NEVER, 429 to Again.LATER, 500 to Again.NOW, 503 to Again.NOW)) {
        test("a gateway's $status without a code is understood by its status") {
            against(Answer(status, "<html>", mapOf("Retry-After" to "120"))) { url, _ ->
                val error = errorOf { client(Time(), url).create() }
                equal(listOf(error.code, error.again, error.retryAfterSeconds), listOf("Http$status", again, 120.0))
                if (status == 429) matches(error.tell, "in 2 minutes\\.$")
            }
        }
    }
    test("a person is told the reason of the Vision SDK in words, however the SDK spells it") {
        for (reason in listOf("CAMERA_PERMISSION_DENIED", "CameraPermissionDenied", "cameraPermissionDenied")) {
            equal(sentenceFor(reason), "Please allow this app to use the camera, and try again.")
        }
        equal(sentenceFor("NEWER_REASON"), null)
    }
    test("waits are told in words") {
        for ((seconds, words) in mapOf(0.0 to "1 second", 1.0 to "1 second", 59.5 to "60 seconds", 61.0 to "2 minutes", 5401.0 to "2 hours")) {
            matches(LivenessError("DeviceThrottled", retryAfterSeconds = seconds).tell, " in $words\\.$")
        }
    }
}

private fun waits() {
    for ((code, seconds) in mapOf("UpstreamThrottled" to 1, "StorageUnavailable" to 7, "KeyUnavailable" to 0)) {
        test("$code is repeated for as long as the catalogue says, with one key: $seconds s and a time that doubles") {
            against(Answer(503, failure(code, seconds))) { url, sent ->
                val time = Time()
                val error = errorOf { client(time, url).create() }
                equal(error.code, code)
                time.waits.forEachIndexed { index, wait ->
                    check(wait - seconds * 1000L in (1000L shl index)..(1500L shl index)) { "$wait" }
                }
                check(time.waits.size in 4..6) { "${time.waits}" }
                check(time.waits.sum() <= error.atMost * 1000L)
                equal(sent.map { it.key }.toSet().size, 1)
            }
        }
    }
    test("a read that keeps failing ends with the time for a result") {
        val waiting = Answer(200, """{"status": "Started", "failure": null, "retryAfterSeconds": 50}""")
        against(waiting, Answer(502, failure("UpstreamFailure", 0))) { url, _ ->
            val time = Time()
            val error = errorOf { client(time, url).result(LivenessSession("a", "t"), digest = "d") }
            equal(error.code, "UpstreamFailure")
            check(time.waits.size > 4 && time.waits.sum() <= 90_000L) { "${time.waits}" }
        }
    }
    test("a header Retry-After is kept") {
        against(Answer(503, "", mapOf("Retry-After" to "3")), Answer(201, CREATED)) { url, _ ->
            val time = Time()
            equal(client(time, url).create().sessionId, "a")
            check(time.waits.single() in 4000L..4500L) { "${time.waits}" }
        }
    }
    test("without Retry-After the waits double") {
        against(Answer(502, "<html>")) { url, _ ->
            val time = Time()
            equal(errorOf { client(time, url).create() }.code, "Http502")
            time.waits.forEachIndexed { index, wait -> check(wait in (1000L shl index)..(1500L shl index)) { "$wait" } }
            check(time.waits.size >= 5)
        }
    }
    test("a wait that is longer than the client goes on is left to the person") {
        against(Answer(503, failure("UpstreamThrottled", 61))) { url, _ ->
            val time = Time()
            equal(errorOf { client(time, url).create() }.retryAfterSeconds to time.waits, 61.0 to emptyList<Long>())
        }
    }
    test("polls send the digest, wait as the service says, and end") {
        against(Answer(200, """{"status": "Started", "failure": null, "retryAfterSeconds": 9}""")) { url, sent ->
            val time = Time()
            val error = errorOf { client(time, url).result(SESSION, "d") }
            equal(error.code to error.again, "NoResultYet" to Again.LATER)
            equal(time.waits, List(10) { 9000L })
            equal(sent.map { it.path to it.digest }.toSet(), setOf("/api/sessions/a" to "d"))
        }
    }
    test("the access token is asked for anew for each request") {
        against(Answer(201, CREATED), Answer(204, "")) { url, sent ->
            var count = 0
            val broker = LivenessClient(url, MemoryStorage(), accessToken = { count += 1; "token-$count" })
            broker.revoke(broker.create())
            equal(sent.map { it.authorization }, listOf("Bearer token-1", "Bearer token-2"))
        }
    }
}

private fun answers() {
    test("text with escapes and other letters is read, and sent") {
        val request = LivenessRequest(clientReference = "a\"b\\c\nd é \uD83D\uDE00")
        val message = """{"error": {"code": "InvalidRequestBody", "message": "a\"b\\c\u00e9\n", "details": [{"a": [1, -2.5e3]}, []]}}"""
        against(Answer(400, message)) { url, sent ->
            equal(errorOf { client(url = url).create(request = request) }.message, "a\"b\\cé\n")
            matches(sent[0].body, Regex.escape("a\\u0022b\\u005cc\\u000ad é \uD83D\uDE00"))
        }
    }
    test("tokens are not sent on to where an answer redirects") {
        val elsewhere = Answer(200, """{"status": "ResultAvailable", "sessionId": "a"}""")
        against(Answer(307, "", mapOf("Location" to "/elsewhere")), elsewhere) { url, sent ->
            equal(errorOf { client(Time(), url).result(SESSION) }.code, "Http307")
            equal(sent.map { it.path }.distinct(), listOf("/api/sessions/a"))
        }
    }
    val pages = listOf(
        "<html>", "null", "[1]", "7", "{}", "{\"a\": ", "{\"a\": 1} x", "{\"a\" 1}", "\"", "{\"a\": \"\\u12\"}", "{\"sessionId\": \"a\"}",
    )
    for (page in pages) {
        test("a page that is not the service's is no connection: $page") {
            against(Answer(200, page)) { url, _ ->
                val time = Time()
                equal(errorOf { client(time, url).create() }.code, "NoConnection")
                equal(errorOf { client(time, url).result(SESSION, digest = "d") }.code, "NoConnection")
                check(time.waits.size >= 10) { "${time.waits}" }
            }
        }
    }
    for (body in listOf("null", "[]", "\"text\"", "{\"error\": \"text\"}", "{\"error\": {\"code\": 7}}", "{\"error\": null}")) {
        test("an error that is not the service's is understood by its status: $body") {
            against(Answer(403, body)) { url, _ ->
                val error = errorOf { client(url = url).create() }
                equal(error.code to error.again, "Http403" to Again.NEVER)
            }
        }
    }
}
