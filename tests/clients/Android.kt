// What the Kotlin lines of clients/README.md use besides the client: as much of Android, coroutines, Compose and
// Microsoft's Vision SDK (azure-ai-vision-face-ui 1.4.1) as compiling them needs.

package android

import kotlin.reflect.KProperty

interface SharedPreferences {
    fun getString(name: String, default: String?): String?
    fun edit(): Editor
}

interface Editor {
    fun putString(name: String, value: String?): Editor
    fun commit(): Boolean
}

class CompletableDeferred<T> {
    suspend fun await(): T = TODO()
    fun complete(value: T) = true
}

class MutableStateFlow<T>(var value: T)

interface State<T> { val value: T }
operator fun <T> State<T>.getValue(owner: Any?, property: KProperty<*>): T = value
fun <T> MutableStateFlow<T>.collectAsState(): State<T> = TODO()

open class ViewModel
class Scope { fun launch(dispatcher: Any, work: suspend () -> Unit) {} }
val ViewModel.viewModelScope: Scope get() = Scope()

object Dispatchers { val IO = Any() }
suspend fun delay(milliseconds: Long) {}

annotation class Composable

enum class SdkError { CAMERA_PERMISSION_DENIED }
class LivenessDetectionError(val livenessError: SdkError)
class LivenessDetectionSuccess(val resultId: String, val digest: String)

fun FaceLivenessDetector(
    sessionAuthorizationToken: String,
    verifyImageFileContent: ByteArray? = null,
    deviceCorrelationId: String? = null,
    userCorrelationId: String? = null,
    onSuccess: (LivenessDetectionSuccess) -> Unit,
    onError: (LivenessDetectionError) -> Unit,
) {}

object backend { suspend fun livenessGrant(reference: String): String = reference }
fun report(code: String, requestId: String?) {}
