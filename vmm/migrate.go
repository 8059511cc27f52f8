package vmm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/ktgen/ktgen/vmm/qmp"
)

// This file moves the state of a paused guest's devices out of QEMU and into
// another, by QEMU's migration. RAM is not in it: with x-ignore-shared QEMU leaves
// shared memory to those who share it.

// maxDevices bounds the state of all devices, in bytes. It is about 0.5 MiB,
// most of it the firmware's ROMs.
const maxDevices = 64 << 20

// migrationFile is the name by which QEMU knows the descriptor of a migration.
const migrationFile = "ktgen-migration"

// migration follows a migration by QEMU's events.
type migration struct {
	ended chan string // gets the final status: "completed" or "failed"
}

func (m *migration) init() { m.ended = make(chan string, 1) }

// onEvent takes a MIGRATION event.
func (m *migration) onEvent(e qmp.Event) {
	var data struct {
		Status string `json:"status"`
	}
	if json.Unmarshal(e.Data, &data) != nil {
		return
	}
	switch data.Status {
	case "completed", "failed", "cancelled":
		select {
		case m.ended <- data.Status:
		default: // a VM migrates once
		}
	}
}

// await waits until QEMU has finished a migration.
func (vm *VM) awaitMigration(ctx context.Context) error {
	select {
	case status := <-vm.migration.ended:
		if status != "completed" {
			return fmt.Errorf("QEMU says that it %s%s", status, vm.migrationError(ctx))
		}
		return nil
	case <-vm.Done():
		return vm.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// migrationError returns what QEMU says about a failed migration, to be
// appended to a message.
func (vm *VM) migrationError(ctx context.Context) string {
	var out struct {
		Desc string `json:"error-desc"`
	}
	if err := vm.mon.Do(ctx, "query-migrate", nil, &out); err != nil || out.Desc == "" {
		return ""
	}
	return ": " + out.Desc
}

// openMigration prepares QEMU for a migration and returns the connection that
// it will go through.
func (vm *VM) openMigration(ctx context.Context) (*net.UnixConn, error) {
	type capability struct {
		Name  string `json:"capability"`
		State bool   `json:"state"`
	}
	capabilities := struct {
		List []capability `json:"capabilities"`
	}{[]capability{{"x-ignore-shared", true}, {"events", true}}}
	if err := vm.mon.Do(ctx, "migrate-set-capabilities", capabilities, nil); err != nil {
		return nil, err
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	if err := vm.mon.SendFile(ctx, migrationFile, theirs); err != nil {
		ours.Close()
		return nil, err
	}
	return ours, nil
}

type migrationURI struct {
	URI string `json:"uri"`
}

// saveDevices returns the state of the devices of a paused guest. The guest
// can be resumed afterwards.
func (vm *VM) saveDevices(ctx context.Context) ([]byte, error) {
	devices, err := vm.migrateOut(ctx)
	if err != nil {
		return nil, fmt.Errorf("saving the devices' state: %w", vm.gone(err))
	}
	return devices, nil
}

func (vm *VM) migrateOut(ctx context.Context) ([]byte, error) {
	conn, err := vm.openMigration(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := vm.mon.Do(ctx, "migrate", migrationURI{"fd:" + migrationFile}, nil); err != nil {
		return nil, err
	}
	devices, err := io.ReadAll(io.LimitReader(conn, maxDevices+1))
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, err
	case len(devices) > maxDevices:
		return nil, fmt.Errorf("they have more than %d bytes", maxDevices)
	}
	return devices, vm.awaitMigration(ctx)
}

// loadDevices gives a QEMU that was started with incomingArgs the state of its
// devices. The RAM must be complete by then. The guest is paused afterwards.
func (vm *VM) loadDevices(ctx context.Context, devices []byte) error {
	if err := vm.migrateIn(ctx, devices); err != nil {
		return fmt.Errorf("loading the devices' state: %w", vm.gone(err))
	}
	return nil
}

// hush has QEMU announce no guest that it restores. It would by timers of the host's
// time, network cards or not (qemu_announce_self, net/announce.c), which nobody hears,
// and which disturb a guest in lockstep.
func (vm *VM) hush(ctx context.Context) error {
	args := struct {
		Rounds int `json:"announce-rounds"`
	}{0}
	return vm.mon.Do(ctx, "migrate-set-parameters", args, nil)
}

// incomingArgs make QEMU wait for the state of its devices.
var incomingArgs = []string{"-incoming", "defer"}

func (vm *VM) migrateIn(ctx context.Context, devices []byte) error {
	conn, err := vm.openMigration(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if vm.calls != nil {
		if err := vm.hush(ctx); err != nil {
			return err
		}
	}
	if err := vm.mon.Do(ctx, "migrate-incoming", migrationURI{"fd:" + migrationFile}, nil); err != nil {
		return err
	}
	if _, err := conn.Write(devices); err != nil {
		// QEMU has refused it and exits.
		return errors.Join(err, vm.awaitMigration(ctx))
	}
	conn.CloseWrite()
	return vm.awaitMigration(ctx)
}
