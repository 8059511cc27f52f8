// Package kwalk walks structures that link many kinds of the kernel's objects: lists, hash
// tables that grow, numbered sets. It does not trust memory: a walk ends with an error where
// memory contradicts itself.
package kwalk
