package ktest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
)

// BenchmarkStart measures how long a guest takes from the start of QEMU until
// its agent answers, from the call until it can be used, and until the example's
// scheduler is enabled: booted, and restored from its template.
func BenchmarkStart(b *testing.B) {
	for name, cfg := range map[string]ktest.Config{
		"boot":    {NoTemplate: true},
		"restore": {},
	} {
		b.Run(name, func(b *testing.B) {
			ktest.Boot(b, cfg) // skips where there is no guest, and makes the template
			var agent, usable, attached time.Duration
			for b.Loop() {
				began := time.Now()
				vm, err := ktest.Start(b.Context(), cfg)
				require.NoError(b, err)
				usable += time.Since(began)
				agent += vm.Machine().Timing().Ready + vm.Machine().Timing().Restored
				require.NoError(b, vm.Attach(b.Context(), ktest.Object(exampleObject)))
				attached += time.Since(began)
				require.NoError(b, vm.Close())
			}
			for unit, total := range map[string]time.Duration{"ms-agent": agent, "ms-usable": usable, "ms-attached": attached} {
				b.ReportMetric(float64(total.Milliseconds())/float64(b.N), unit)
			}
		})
	}
}
