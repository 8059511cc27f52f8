package ktest_test

import (
	"testing"

	"github.com/ktgen/ktgen/ktest"
)

func TestMain(m *testing.M) { ktest.Main(m) }
