package runtime

import "github.com/ktgen/ktgen/runtime/ktsnap"

// What generated code and tests name of the model of a capture.
type (
	Snapshot = ktsnap.Snapshot
	Owner    = ktsnap.Owner
	Address  = ktsnap.Address
	Error    = ktsnap.Error
	Initial  = ktsnap.Initial
)

// The types of maps, as layouts have them.
const (
	MapTypeHash              = ktsnap.MapTypeHash
	MapTypeArray             = ktsnap.MapTypeArray
	MapTypeProgArray         = ktsnap.MapTypeProgArray
	MapTypePerfEventArray    = ktsnap.MapTypePerfEventArray
	MapTypePerCPUHash        = ktsnap.MapTypePerCPUHash
	MapTypePerCPUArray       = ktsnap.MapTypePerCPUArray
	MapTypeStackTrace        = ktsnap.MapTypeStackTrace
	MapTypeCgroupArray       = ktsnap.MapTypeCgroupArray
	MapTypeLRUHash           = ktsnap.MapTypeLRUHash
	MapTypeLRUPerCPUHash     = ktsnap.MapTypeLRUPerCPUHash
	MapTypeLPMTrie           = ktsnap.MapTypeLPMTrie
	MapTypeArrayOfMaps       = ktsnap.MapTypeArrayOfMaps
	MapTypeHashOfMaps        = ktsnap.MapTypeHashOfMaps
	MapTypeDevMap            = ktsnap.MapTypeDevMap
	MapTypeSockMap           = ktsnap.MapTypeSockMap
	MapTypeCPUMap            = ktsnap.MapTypeCPUMap
	MapTypeXSKMap            = ktsnap.MapTypeXSKMap
	MapTypeSockHash          = ktsnap.MapTypeSockHash
	MapTypeCgroupStorageOld  = ktsnap.MapTypeCgroupStorageOld
	MapTypeReusePortArray    = ktsnap.MapTypeReusePortArray
	MapTypePerCPUCgroupStore = ktsnap.MapTypePerCPUCgroupStore
	MapTypeQueue             = ktsnap.MapTypeQueue
	MapTypeStack             = ktsnap.MapTypeStack
	MapTypeSkStorage         = ktsnap.MapTypeSkStorage
	MapTypeDevMapHash        = ktsnap.MapTypeDevMapHash
	MapTypeStructOps         = ktsnap.MapTypeStructOps
	MapTypeRingBuf           = ktsnap.MapTypeRingBuf
	MapTypeInodeStorage      = ktsnap.MapTypeInodeStorage
	MapTypeTaskStorage       = ktsnap.MapTypeTaskStorage
	MapTypeBloomFilter       = ktsnap.MapTypeBloomFilter
	MapTypeUserRingBuf       = ktsnap.MapTypeUserRingBuf
	MapTypeCgroupStorage     = ktsnap.MapTypeCgroupStorage
	MapTypeArena             = ktsnap.MapTypeArena
	MapTypeInsnArray         = ktsnap.MapTypeInsnArray
	MapTypeRHash             = ktsnap.MapTypeRHash
)
