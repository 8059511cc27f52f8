package guest

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFramesSurviveTheWire(t *testing.T) {
	frames := []frame{
		{kind: kindHello, body: []byte("{}")},
		{kind: kindData, channel: channelErr, call: 1<<32 - 1, body: bytes.Repeat([]byte{7}, maxBody)},
		{kind: kindEOF, call: 3},
	}
	var wire bytes.Buffer
	for _, f := range frames {
		wire.Write(f.encode())
	}
	for _, want := range frames {
		got, err := readFrame(&wire)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := readFrame(&wire)
	require.Equal(t, io.EOF, err)
}

func TestBrokenFramesAreErrors(t *testing.T) {
	for name, b := range map[string][]byte{
		"kind 0":          {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"kind unknown":    {0, 0, 0, 0, 99, 0, 0, 0, 0, 0, 0, 0},
		"channel unknown": {0, 0, 0, 0, byte(kindData), 3, 0, 0, 0, 0, 0, 0},
		"reserved bytes":  {0, 0, 0, 0, byte(kindData), 0, 1, 0, 0, 0, 0, 0},
		"length huge":     {255, 255, 255, 255, byte(kindData), 0, 0, 0, 0, 0, 0, 0},
		"window short":    {2, 0, 0, 0, byte(kindWindow), 0, 0, 0, 0, 0, 0, 0, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readFrame(bytes.NewReader(b))
			var format *FormatError
			require.ErrorAs(t, err, &format)
		})
	}
	_, err := readFrame(bytes.NewReader([]byte{1, 0, 0}))
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	_, err = readFrame(bytes.NewReader([]byte{1, 0, 0, 0, byte(kindData), 0, 0, 0, 0, 0, 0, 0}))
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

func FuzzReadFrame(f *testing.F) {
	f.Add(frame{kind: kindData, channel: channelOut, call: 5, body: []byte("text")}.encode())
	f.Add([]byte{255, 255, 255, 255, 3, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		for {
			fr, err := readFrame(r)
			if err != nil {
				return
			}
			again, err := readFrame(bytes.NewReader(fr.encode()))
			require.NoError(t, err)
			require.Equal(t, fr, again)
		}
	})
}

// FuzzServe feeds bytes to an agent, which must end when they do, with every
// call ended.
func FuzzServe(f *testing.F) {
	hi := frame{kind: kindHello, body: []byte(`{"Version":1,"Nonce":"n"}`)}.encode()
	call := frame{kind: kindCall, call: 1, body: []byte(`{"Method":"echo"}`)}.encode()
	data := frame{kind: kindData, call: 1, body: []byte("text")}.encode()
	f.Add(bytes.Join([][]byte{hi, call, data, frame{kind: kindEOF, call: 1}.encode()}, nil))
	f.Add(bytes.Join([][]byte{hi, call, frame{kind: kindWindow, channel: channelOut, call: 1, body: []byte{255, 255, 255, 255}}.encode()}, nil))
	f.Add(bytes.Join([][]byte{hi, call, call}, nil))
	f.Add(bytes.Join([][]byte{hi, hi, call, frame{kind: kindBye}.encode(), call}, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		host, guest := net.Pipe()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		served := make(chan error, 1)
		go func() {
			served <- Serve(ctx, guest, Handlers{"echo": func(_ context.Context, c *Call) (any, error) {
				return io.Copy(c.Out, c.In)
			}})
			guest.Close()
		}()
		go func() {
			_, _ = host.Write(b)
			host.Close()
		}()
		_, _ = io.Copy(io.Discard, host)
		select {
		case <-served:
		case <-ctx.Done():
			t.Fatal("the agent does not end")
		}
	})
}
