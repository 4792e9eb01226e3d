package logfile

import (
	"bytes"
	"fmt"
	"io"
	"testing"
)

// FuzzCodecs reads any bytes as compressed files.
func FuzzCodecs(f *testing.F) {
	for _, c := range []Codec{Gzip, Zstd} {
		var b bytes.Buffer
		w, err := c.writer(&b, []byte(`{"generation":1}`))
		if err != nil {
			f.Fatal(err)
		}
		if _, err := w.Write([]byte("some text")); err != nil {
			f.Fatal(err)
		}
		if err := w.Close(); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, c := range []Codec{Gzip, Zstd} {
			g := generation{packed: true}
			g.identifyPacked(c.extra(bytes.NewReader(b)))
			if r, err := c.reader(bytes.NewReader(b)); err == nil {
				_, _ = io.CopyN(io.Discard, r, 1<<20)
			}
		}
	})
}

func BenchmarkCodecs(b *testing.B) {
	var text []byte
	for i := range 50_000 {
		text = fmt.Appendf(text, "2024-02-29T23:%02d:%02d.%09d INFO request id=%08x method=GET path=/api/v1/items/%d status=%d took=%dms\n",
			i/60%60, i%60, i*7919%1_000_000_000, uint32(i)*2654435761, i*31%9973, 200+i%7, i*i%331)
	}
	for name, c := range map[string]Codec{"gzip": Gzip, "zstd": Zstd} {
		var packed bytes.Buffer
		b.Run(name+"/write", func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				packed.Reset()
				w, err := c.writer(&packed, nil)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(struct{ io.Writer }{w}, bytes.NewReader(text)); err != nil {
					b.Fatal(err)
				}
				if err := w.Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(text))/float64(packed.Len()), "ratio")
		})
		b.Run(name+"/read", func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				r, err := c.reader(bytes.NewReader(packed.Bytes()))
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, struct{ io.Reader }{r}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
