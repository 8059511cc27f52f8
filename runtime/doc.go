// Package runtime holds what was captured from a guest and reads typed values
// out of it. It knows bytes and shapes; it knows neither virtual machines nor
// ELF nor BTF, and imports only the standard library.
package runtime
