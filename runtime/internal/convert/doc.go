// Package convert takes values of a guest to the layout that code was generated for.
//
// A [Comparison] compares the shapes of both, and says what differs and cannot be
// bridged. Its result is a [Plan], which rearranges the bytes of each value: members
// elsewhere, integers of another size. A nil plan changes nothing.
package convert
