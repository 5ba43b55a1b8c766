#include "text/unicode.h"

#include <stdlib.h>
#include <utf8proc.h>

#include "base/mem.h"
#include "base/utf8.h"

enum { L = CHAR_LETTER, N = CHAR_NUMBER, P = CHAR_PUNCT, S = CHAR_SPACE };

/* The symbols $ + < = > ^ ` | ~ are no punctuation to Unicode. */
const uint8_t unicode_ascii_class[128] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, S, S, S, S, S, 0, 0, /* 00: tab to carriage return */
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* 10 */
    S, P, P, P, 0, P, P, P, P, P, P, 0, P, P, P, P, /* 20:   ! " # $ % & ' ( ) * + , - . / */
    N, N, N, N, N, N, N, N, N, N, P, P, 0, 0, 0, P, /* 30: 0 … 9 : ; < = > ? */
    P, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, /* 40: @ A … O */
    L, L, L, L, L, L, L, L, L, L, L, P, P, P, 0, P, /* 50: P … Z [ \ ] ^ _ */
    0, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, /* 60: ` a … o */
    L, L, L, L, L, L, L, L, L, L, L, P, 0, P, 0, 0  /* 70: p … z { | } ~ */
};

unsigned unicode_class_beyond_ascii(uint32_t code) {
    switch (utf8proc_category((utf8proc_int32_t)code)) {
    case UTF8PROC_CATEGORY_LU: case UTF8PROC_CATEGORY_LL: case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM: case UTF8PROC_CATEGORY_LO:
        return CHAR_LETTER;
    case UTF8PROC_CATEGORY_ND: case UTF8PROC_CATEGORY_NL: case UTF8PROC_CATEGORY_NO:
        return CHAR_NUMBER;
    case UTF8PROC_CATEGORY_MN: case UTF8PROC_CATEGORY_MC: case UTF8PROC_CATEGORY_ME:
        return CHAR_MARK;
    case UTF8PROC_CATEGORY_PC: case UTF8PROC_CATEGORY_PD: case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE: case UTF8PROC_CATEGORY_PI: case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
        return CHAR_PUNCT;
    case UTF8PROC_CATEGORY_ZS: case UTF8PROC_CATEGORY_ZL: case UTF8PROC_CATEGORY_ZP:
        return CHAR_SPACE;
    default:
        return code == 0x85 ? CHAR_SPACE : 0; /* next line: a control character by category */
    }
}

static const utf8proc_option_t canonical = UTF8PROC_STABLE | UTF8PROC_COMPOSE;
enum { MAX_DECOMPOSED = 32 }; /* canonical decompositions have at most 4 */

static int combining_class(int32_t code) { return utf8proc_get_property(code)->combining_class; }

/* A character that decomposes is still in NFC if its parts compose to it again (é: yes, Å: no). */
static bool composes_back(uint32_t code) {
    utf8proc_int32_t parts[MAX_DECOMPOSED];
    int boundary = 0;
    utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)code, parts, MAX_DECOMPOSED,
                                                 canonical, &boundary);
    if (n < 1 || n > MAX_DECOMPOSED) return false;
    return utf8proc_normalize_utf32(parts, n, canonical) == 1 && (uint32_t)parts[0] == code;
}

/* Stands in NFC text whatever is beside it: it composes with nothing before it. */
static bool is_inert(uint32_t code) {
    if (code < 0x300) return true;
    if (code >= 0xAC00 && code < 0xD7A4) return true;                     /* Hangul syllables */
    if ((code >= 0x1161 && code < 0x1176) || (code >= 0x11A8 && code < 0x11C3)) return false;
    const utf8proc_property_t *p = utf8proc_get_property((utf8proc_int32_t)code);
    if (p->combining_class) return false;
    if (p->comb_index != UINT16_MAX && p->comb_index >= 0x8000) return false; /* a second part */
    return p->decomp_seqindex == UINT16_MAX || composes_back(code);
}

bool unicode_is_nfc(const char *text, size_t n) {
    for (size_t i = 0; i < n;) {
        if ((unsigned char)text[i] < 0xCC) { /* below U+0300 */
            i++;
            continue;
        }
        uint32_t code;
        i += unicode_decode_valid(text + i, &code);
        if (!is_inert(code)) return false;
    }
    return true;
}

typedef struct mark {
    int32_t code;
    int class;
    size_t place;
} mark;

static int by_class_then_place(const void *a, const void *b) {
    const mark *x = a, *y = b;
    if (x->class != y->class) return x->class < y->class ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

/* Canonical order: runs of combining marks by class. utf8proc's own pass takes quadratic time over
 * a long run, so runs are sorted here. */
static hone_status order_marks(int32_t *codes, size_t n) {
    for (size_t i = 0; i < n;) {
        if (codes[i] < 0x300 || !combining_class(codes[i])) {
            i++;
            continue;
        }
        size_t end = i;
        while (end < n && combining_class(codes[end])) end++;
        size_t count = end - i;
        if (count > 1) {
            mark few[16];
            mark *marks = count <= 16 ? few : mem_calloc(count, sizeof *marks);
            if (!marks) return mem_fail("combining marks", count * sizeof *marks);
            for (size_t k = 0; k < count; k++)
                marks[k] = (mark){codes[i + k], combining_class(codes[i + k]), k};
            qsort(marks, count, sizeof *marks, by_class_then_place);
            for (size_t k = 0; k < count; k++) codes[i + k] = marks[k].code;
            if (marks != few) mem_free(marks);
        }
        i = end;
    }
    return HONE_OK;
}

/* Decomposes every character. `codes` has room for 4 a byte of text, which no character exceeds. */
static size_t decompose(const char *text, size_t n, int32_t *codes) {
    size_t count = 0;
    int boundary = 0;
    for (size_t i = 0; i < n;) {
        uint32_t code;
        size_t bytes = unicode_decode_valid(text + i, &code);
        i += bytes;
        utf8proc_ssize_t parts = code < 0xC0 ? 0
            : utf8proc_decompose_char((utf8proc_int32_t)code, codes + count,
                                      (utf8proc_ssize_t)(4 * bytes), canonical, &boundary);
        if (parts < 1 || parts > (utf8proc_ssize_t)(4 * bytes)) {
            codes[count] = (int32_t)code;
            parts = 1;
        }
        count += (size_t)parts;
    }
    return count;
}

hone_status unicode_nfc(const char *text, size_t n, char **out, size_t *out_n) {
    size_t room;
    if (!size_mul(n, 4 * sizeof(int32_t), &room)) return fail(HONE_ERR_ARGUMENT, "text too long");
    int32_t *codes = mem_alloc(room);
    if (!codes) return mem_fail("normalised text", room);
    size_t count = decompose(text, n, codes);
    char *bytes = NULL;
    hone_status status = order_marks(codes, count);
    if (status != HONE_OK) goto done;
    utf8proc_ssize_t composed = utf8proc_normalize_utf32(codes, (utf8proc_ssize_t)count, canonical);
    count = composed < 0 ? count : (size_t)composed;
    bytes = mem_calloc(count + 1, 4);
    if (!bytes) {
        status = mem_fail("normalised text", count * 4);
        goto done;
    }
    size_t at = 0;
    for (size_t i = 0; i < count; i++) at += utf8_write(bytes + at, (uint32_t)codes[i]);
    *out = bytes;
    *out_n = at;
done:
    mem_free(codes);
    return status;
}
