package metrics_test

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"net/http/httptest"
	"strings"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/host/metrics"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// An application registers one collector for its host, and serves the registry.
func ExampleNewCollector() {
	h, err := host.New(host.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close(context.Background())

	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics.NewCollector(h, nil))
	handler := promhttp.HandlerFor(registry, promhttp.HandlerOpts{}) // for http.Handle("/metrics", handler)

	page := httptest.NewRecorder()
	handler.ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))
	for lines := bufio.NewScanner(page.Body); lines.Scan(); {
		if !strings.HasPrefix(lines.Text(), "#") {
			fmt.Println(lines.Text())
		}
	}
	// Output:
	// logplug_host_cache_spool_limit_bytes 6.7108864e+07
	// logplug_host_cache_spooled_bytes 0
	// logplug_host_kept_messages 0
	// logplug_host_spool_limit_bytes 2.68435456e+08
	// logplug_host_spool_limit_messages 1e+07
	// logplug_host_spooled_bytes 0
	// logplug_host_spooled_messages 0
}
