package guest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	methodRead  = "read"
	methodWrite = "write"
	methodStat  = "stat"
)

type fileParams struct {
	Path    string
	Mode    fs.FileMode
	Install bool // write a file of its own, leaving an old one to who has it open
}

func handleRead(_ context.Context, c *Call) (any, error) {
	var params fileParams
	if err := c.Decode(&params); err != nil {
		return nil, err
	}
	f, err := os.Open(params.Path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	_, err = io.Copy(struct{ io.Writer }{c.Out}, f)
	return nil, err
}

// handleWrite writes files of sysfs and the like in one write(2) as long as
// they are small, since those take every write for a value of its own.
func handleWrite(_ context.Context, c *Call) (any, error) {
	var params fileParams
	if err := c.Decode(&params); err != nil {
		return nil, err
	}
	if err := makeParent(params.Path); err != nil {
		return nil, err
	}
	if params.Install {
		if err := os.Remove(params.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	f, err := os.OpenFile(params.Path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, params.Mode.Perm())
	if err != nil {
		return nil, err
	}
	if _, err = io.CopyBuffer(struct{ io.Writer }{f}, struct{ io.Reader }{c.In}, make([]byte, chunk)); err != nil {
		f.Close()
		return nil, err
	}
	return nil, f.Close()
}

func makeParent(path string) error {
	dir := filepath.Dir(path)
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	return os.MkdirAll(dir, 0o755)
}

// FileInfo is what stat(2) says of a file in the guest.
type FileInfo struct {
	Size    int64
	Mode    fs.FileMode
	ModTime time.Time
}

func handleStat(_ context.Context, c *Call) (any, error) {
	var params fileParams
	if err := c.Decode(&params); err != nil {
		return nil, err
	}
	info, err := os.Stat(params.Path)
	if err != nil {
		return nil, err
	}
	return FileInfo{Size: info.Size(), Mode: info.Mode(), ModTime: info.ModTime()}, nil
}

// ReadFile returns the contents of a file in the guest, of /proc and /sys as
// well.
func (c *Client) ReadFile(ctx context.Context, path string) ([]byte, error) {
	var contents bytes.Buffer
	if err := c.CopyFile(ctx, &contents, path); err != nil {
		return nil, err
	}
	return contents.Bytes(), nil
}

// CopyFile writes the contents of a file in the guest to w.
func (c *Client) CopyFile(ctx context.Context, w io.Writer, path string) error {
	failing := &firstError{w: w}
	if err := c.Call(ctx, methodRead, fileParams{Path: path}, nil, Streams{Out: failing}); err != nil {
		return err
	}
	if failing.err != nil {
		return fmt.Errorf("copy %s out of the guest: %w", path, failing.err)
	}
	return nil
}

// firstError remembers that its writer failed, which a call goes on after.
type firstError struct {
	w   io.Writer
	err error
}

func (f *firstError) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if f.err == nil {
		f.err = err
	}
	return n, err
}

// WriteFile writes a file in the guest, with the directories above it. Only
// the permission bits of mode count.
func (c *Client) WriteFile(ctx context.Context, path string, contents []byte, mode fs.FileMode) error {
	params := fileParams{Path: path, Mode: mode}
	return c.Call(ctx, methodWrite, params, nil, Streams{In: bytes.NewReader(contents)})
}

// InstallFile writes a file in the guest like WriteFile, except that a file
// that is there is replaced: programs that run from it, or have it mapped, keep the old
// one, where WriteFile would pull it from under them.
func (c *Client) InstallFile(ctx context.Context, path string, contents []byte, mode fs.FileMode) error {
	params := fileParams{Path: path, Mode: mode, Install: true}
	return c.Call(ctx, methodWrite, params, nil, Streams{In: bytes.NewReader(contents)})
}

// Stat describes a file in the guest.
func (c *Client) Stat(ctx context.Context, path string) (FileInfo, error) {
	var info FileInfo
	err := c.Call(ctx, methodStat, fileParams{Path: path}, &info, Streams{})
	return info, err
}
