package importer

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"sync/atomic"

	"robin"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

var (
	gzipMagic = []byte{0x1f, 0x8b}
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}
)

func decompress(in *counter, enc Encoding) (io.Reader, func(), error) {
	br := bufio.NewReaderSize(in, readBuffer)
	head, _ := br.Peek(4) // a read error shows again at the first Read
	if enc == AnyEncoding {
		switch {
		case bytes.HasPrefix(head, gzipMagic):
			enc = Gzip
		case bytes.Equal(head, zstdMagic):
			enc = Zstd
		default:
			enc = Identity
		}
	}
	switch enc {
	case Identity:
		return br, func() {}, nil
	case Gzip:
		zr, err := gzip.NewReader(br)
		if err != nil {
			return nil, nil, damaged(in, "gzip", err)
		}
		return &decompressed{r: zr, in: in, br: br, name: "gzip", growth: gzipGrowth}, func() { _ = zr.Close() }, nil
	case Zstd:
		zr, err := zstd.NewReader(br, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(zstdWindow), zstd.WithDecoderMaxMemory(1<<62))
		if err != nil {
			return nil, nil, damaged(in, "zstd", err)
		}
		return &decompressed{r: zr, in: in, br: br, name: "zstd", growth: zstdGrowth}, zr.Close, nil
	}
	return nil, nil, robin.Errorf(robin.CodeUnsupported, "%q is not a content encoding that Robin reads; use gzip, zstd or none", enc)
}

func damaged(in *counter, name string, err error) error {
	if in.err != nil && !errors.Is(in.err, io.EOF) {
		return in.err
	}
	if errors.Is(err, zstd.ErrWindowSizeExceeded) {
		return robin.Errorf(robin.CodeTooLarge, "the zstd window is larger than %d MiB; compress without --long and --ultra: %w", zstdWindow>>20, err)
	}
	return robin.Errorf(robin.CodeInvalid, "the %s stream is damaged or cut short near its byte %d: %w", name, in.n.Load(), err)
}

// counter counts bytes and remembers the source's own error, to tell a lost connection from damaged compression.
type counter struct {
	r   io.Reader
	n   atomic.Int64
	err error
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	if err != nil {
		c.err = err
	}
	return n, err
}

// decompressed gives the decompressor's errors a meaning, and refuses a stream that grows too much.
type decompressed struct {
	r       io.Reader
	in      *counter
	br      *bufio.Reader // between in and r
	name    string
	growth  int64 // at most this many bytes for each that was taken
	decoded int64
}

func (d *decompressed) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	d.decoded += int64(n)
	if taken := d.in.n.Load() - int64(d.br.Buffered()); d.decoded > growthFrom && d.decoded > d.growth*taken {
		return 0, robin.Errorf(robin.CodeTooLarge, "the first %d bytes of the %s stream become %d, and more than %d times as much is not read; if that is no mistake, decompress the file and import it as it is",
			taken, d.name, d.decoded, d.growth)
	}
	if err != nil && !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = damaged(d.in, d.name, err)
	}
	return n, err
}

// limited fails, rather than ends, at its limit.
type limited struct {
	r    io.Reader
	left int64
	max  int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		var one [1]byte
		n, err := l.r.Read(one[:])
		if n == 0 {
			return 0, err
		}
		return 0, robin.Errorf(robin.CodeTooLarge, "the import is over the limit of %d bytes after decompression", l.max)
	}
	if int64(len(p)) > l.left {
		p = p[:l.left]
	}
	n, err := l.r.Read(p)
	l.left -= int64(n)
	return n, err
}
