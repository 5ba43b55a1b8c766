/* The formats that are promised, as regular expressions. RFC 3339 (dates and times, upper case),
 * RFC 4122 (UUID), RFC 5321's dot-strings (e-mail), RFC 791 and 4291 (addresses), RFC 1123 (host
 * names), RFC 3986 (URI), RFC 6901 (pointers), ISO 8601 (durations, in JSON Schema's form). */
#include <string.h>

#include "text/schema_int.h"

/* Days by month; 29 February in leap years: those divisible by 4, of the centuries by 400. */
#define DATE                                                                                  \
    "(?:\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)" \
    "|02-(?:0[1-9]|1\\d|2[0-8]))|(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|"  \
    "[13579][26])00)-02-29)"
#define CLOCK "(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d+)?"
#define TIME "(?:" CLOCK "(?:Z|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)|23:59:60(?:\\.\\d+)?Z)"
#define LABEL "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
#define HOST LABEL "(?:\\." LABEL ")*"
#define ATOM "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
#define BYTE "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"
#define IPV4 BYTE "(?:\\." BYTE "){3}"
#define H "[0-9A-Fa-f]{1,4}"
#define LOW32 "(?:" H ":" H "|" IPV4 ")"
#define IPV6                                                                                       \
    "(?:(?:" H ":){6}" LOW32 "|::(?:" H ":){5}" LOW32 "|(?:" H ")?::(?:" H ":){4}" LOW32           \
    "|(?:(?:" H ":){0,1}" H ")?::(?:" H ":){3}" LOW32 "|(?:(?:" H ":){0,2}" H ")?::(?:" H ":){2}"  \
    LOW32 "|(?:(?:" H ":){0,3}" H ")?::" H ":" LOW32 "|(?:(?:" H ":){0,4}" H ")?::" LOW32          \
    "|(?:(?:" H ":){0,5}" H ")?::" H "|(?:(?:" H ":){0,6}" H ")?::)"
#define PCHAR "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
#define PATH "(?:/" PCHAR "*)*"
#define TAIL "(?:\\?(?:" PCHAR "|[/?])*)?(?:#(?:" PCHAR "|[/?])*)?"
#define AUTHORITY                                                                               \
    "//(?:(?:[A-Za-z0-9._~!$&'()*+,;=:-]|%[0-9A-Fa-f]{2})*@)?(?:\\[" IPV6                       \
    "\\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(?::\\d*)?"
#define HIER "(?:" AUTHORITY PATH "|/(?:" PCHAR "+" PATH ")?|" PCHAR "+" PATH ")?"
#define POINTER "(?:/(?:[^~/]|~[01])*)*"

void schema_format(const char *name, const char **pattern) {
    static const struct { const char *name, *pattern; } formats[] = {
        {"date", "^" DATE "$"},
        {"time", "^" TIME "$"},
        {"date-time", "^" DATE "T" TIME "$"},
        {"duration", "^P(?:\\d+W|(?:\\d+Y(?:\\d+M(?:\\d+D)?)?|\\d+M(?:\\d+D)?|\\d+D)(?:T(?:\\d+H(?:"
                     "\\d+M(?:\\d+S)?)?|\\d+M(?:\\d+S)?|\\d+S))?|T(?:\\d+H(?:\\d+M(?:\\d+S)?)?|"
                     "\\d+M(?:\\d+S)?|\\d+S))$"},
        {"uuid", "^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"},
        {"email", "^" ATOM "(?:\\." ATOM ")*@(?:" HOST "|\\[" IPV4 "\\])$"},
        {"ipv4", "^" IPV4 "$"},
        {"ipv6", "^" IPV6 "$"},
        {"hostname", "^(?=.{1,253}$)" HOST "$"},
        {"uri", "^[A-Za-z][A-Za-z0-9+.-]*:" HIER TAIL "$"},
        {"uri-reference", "^(?:[A-Za-z][A-Za-z0-9+.-]*:" HIER "|" AUTHORITY PATH "|/(?:" PCHAR "+" PATH
                          ")?|(?:[A-Za-z0-9._~!$&'()*+,;=@-]|%[0-9A-Fa-f]{2})+" PATH ")?" TAIL "$"},
        {"json-pointer", "^" POINTER "$"},
        {"relative-json-pointer", "^(?:0|[1-9]\\d*)(?:#|" POINTER ")$"},
    };
    *pattern = NULL;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (!strcmp(name, formats[i].name)) *pattern = formats[i].pattern;
}
