-- Prints what wrk measured as one JSON line. Only `done` is defined: it runs after the last response, so it costs the
-- run nothing.
done = function(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        'REPORT {"requests":%d,"duration_us":%d,"bytes":%d,"p50_us":%d,"p90_us":%d,"p99_us":%d,"max_us":%d,' ..
        '"connect_errors":%d,"read_errors":%d,"write_errors":%d,"status_errors":%d,"timeouts":%d}\n',
        summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(90),
        latency:percentile(99), latency.max, errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
