// Package kwalk goes along structures that the kernel links many kinds of objects
// with: lists, hash tables that grow, numbered sets. What it is led to is not trusted:
// walks end where memory contradicts itself, and say so.
package kwalk
