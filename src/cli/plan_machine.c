#include "cli/plan_machine.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/output.h"

enum { MAX_FILE_BYTES = 1 << 16 };

static hone_status take_memory(plan_machine *m, const json_t *o, const char *path) {
    const json_t *memory = json_object_get(o, "memory");
    if (json_is_string(memory) && cli_parse_bytes(json_string_value(memory), &m->memory))
        return HONE_OK;
    if (json_to_u64(memory, &m->memory) && m->memory > 0) return HONE_OK;
    return fail(HONE_ERR_FORMAT, "%s: \"memory\" is a size such as \"16G\", or a number of bytes",
                path);
}

static hone_status take_description(plan_machine *m, const json_t *o, const char *path) {
    const char *name = path, *fingerprint = "";
    uint64_t cores = 0;
    TRY(take_memory(m, o, path));
    TRY(json_get_string(o, "name", &name));
    TRY(json_get_string(o, "fingerprint", &fingerprint));
    TRY(json_get_u64(o, "cores", &cores));
    TRY(json_get_f64(o, "read_bytes_per_s", &m->read_bytes_per_s));
    if (cores > 1024 || !(m->read_bytes_per_s >= 0 && m->read_bytes_per_s < 1e15))
        return fail(HONE_ERR_FORMAT, "%s: no machine has such cores or such memory", path);
    m->n_cores = (int)cores;
    snprintf(m->name, sizeof m->name, "%.127s", name);
    snprintf(m->fingerprint, sizeof m->fingerprint, "%.16s", fingerprint);
    return HONE_OK;
}

static hone_status read_description(plan_machine *m, const char *path) {
    json_t *o;
    TRY(json_parse_file(&o, path, MAX_FILE_BYTES));
    hone_status status = json_is_object(o) ? take_description(m, o, path)
                                           : fail(HONE_ERR_FORMAT, "%s holds no object", path);
    json_decref(o);
    return status;
}

int plan_machine_open(plan_machine *m, const char *path) {
    machine_description here;
    *m = (plan_machine){.is_this_one = !path};
    hone_status status = path ? read_description(m, path) : machine_describe(&here);
    if (status != HONE_OK) return cli_fail(status);
    if (!path) {
        snprintf(m->name, sizeof m->name, "%s", here.cpu);
        snprintf(m->fingerprint, sizeof m->fingerprint, "%s", here.fingerprint);
        m->n_cores = here.n_cores;
    }
    /* without the database everything is estimated */
    if (m->fingerprint[0] && results_open(&m->db, NULL) != HONE_OK) m->db = NULL;
    return CLI_OK;
}

void plan_machine_release(plan_machine *m) { results_close(m->db); }

hone_status plan_machine_look_at_limits(plan_machine *m, int n_threads) {
    hone_limits limits;
    if (m->read_bytes_per_s > 0) return HONE_OK;
    if (m->db) TRY(measured_read_limit(&m->read_bytes_per_s, m->db, m->fingerprint));
    if (m->read_bytes_per_s > 0 || !m->is_this_one) return HONE_OK;
    cli_progress("looking how fast memory is read");
    hone_status status = hone_measure_limits(&limits, n_threads);
    cli_progress_clear();
    if (status == HONE_OK) m->read_bytes_per_s = limits.best_read_bytes_per_s;
    return status;
}
