#include "format/speech_languages.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *code, *name;
} languages[SPEECH_MAX_LANGUAGES] = {
    {"en", "english"},     {"zh", "chinese"},       {"de", "german"},        {"es", "spanish"},
    {"ru", "russian"},     {"ko", "korean"},        {"fr", "french"},        {"ja", "japanese"},
    {"pt", "portuguese"},  {"tr", "turkish"},       {"pl", "polish"},        {"ca", "catalan"},
    {"nl", "dutch"},       {"ar", "arabic"},        {"sv", "swedish"},       {"it", "italian"},
    {"id", "indonesian"},  {"hi", "hindi"},         {"fi", "finnish"},       {"vi", "vietnamese"},
    {"he", "hebrew"},      {"uk", "ukrainian"},     {"el", "greek"},         {"ms", "malay"},
    {"cs", "czech"},       {"ro", "romanian"},      {"da", "danish"},        {"hu", "hungarian"},
    {"ta", "tamil"},       {"no", "norwegian"},     {"th", "thai"},          {"ur", "urdu"},
    {"hr", "croatian"},    {"bg", "bulgarian"},     {"lt", "lithuanian"},    {"la", "latin"},
    {"mi", "maori"},       {"ml", "malayalam"},     {"cy", "welsh"},         {"sk", "slovak"},
    {"te", "telugu"},      {"fa", "persian"},       {"lv", "latvian"},       {"bn", "bengali"},
    {"sr", "serbian"},     {"az", "azerbaijani"},   {"sl", "slovenian"},     {"kn", "kannada"},
    {"et", "estonian"},    {"mk", "macedonian"},    {"br", "breton"},        {"eu", "basque"},
    {"is", "icelandic"},   {"hy", "armenian"},      {"ne", "nepali"},        {"mn", "mongolian"},
    {"bs", "bosnian"},     {"kk", "kazakh"},        {"sq", "albanian"},      {"sw", "swahili"},
    {"gl", "galician"},    {"mr", "marathi"},       {"pa", "punjabi"},       {"si", "sinhala"},
    {"km", "khmer"},       {"sn", "shona"},         {"yo", "yoruba"},        {"so", "somali"},
    {"af", "afrikaans"},   {"oc", "occitan"},       {"ka", "georgian"},      {"be", "belarusian"},
    {"tg", "tajik"},       {"sd", "sindhi"},        {"gu", "gujarati"},      {"am", "amharic"},
    {"yi", "yiddish"},     {"lo", "lao"},           {"uz", "uzbek"},         {"fo", "faroese"},
    {"ht", "haitian creole"}, {"ps", "pashto"},     {"tk", "turkmen"},       {"nn", "nynorsk"},
    {"mt", "maltese"},     {"sa", "sanskrit"},      {"lb", "luxembourgish"}, {"my", "myanmar"},
    {"bo", "tibetan"},     {"tl", "tagalog"},       {"mg", "malagasy"},      {"as", "assamese"},
    {"tt", "tatar"},       {"haw", "hawaiian"},     {"ln", "lingala"},       {"ha", "hausa"},
    {"ba", "bashkir"},     {"jw", "javanese"},      {"su", "sundanese"},     {"yue", "cantonese"},
}, other_names[] = {
    {"my", "burmese"},     {"ca", "valencian"},     {"nl", "flemish"},       {"ht", "haitian"},
    {"lb", "letzeburgesch"}, {"ps", "pushto"},      {"pa", "panjabi"},       {"ro", "moldavian"},
    {"ro", "moldovan"},    {"si", "sinhalese"},     {"es", "castilian"},     {"zh", "mandarin"},
    {"jw", "jv"},          {"he", "iw"},
};

const char *speech_language_code(size_t index) {
    return index < SPEECH_MAX_LANGUAGES ? languages[index].code : NULL;
}

const char *speech_language_name(size_t index) {
    return index < SPEECH_MAX_LANGUAGES ? languages[index].name : NULL;
}

int speech_language_find(const char *word) {
    for (size_t i = 0; i < sizeof other_names / sizeof *other_names; i++)
        if (strcasecmp(word, other_names[i].name) == 0) word = other_names[i].code;
    for (int i = 0; i < SPEECH_MAX_LANGUAGES; i++)
        if (strcasecmp(word, languages[i].code) == 0 || strcasecmp(word, languages[i].name) == 0)
            return i;
    return -1;
}

bool speech_language_lacks_spaces(const char *code) {
    static const char *const without[] = {"zh", "ja", "th", "lo", "my", "yue"};
    for (size_t i = 0; i < sizeof without / sizeof *without; i++)
        if (strcmp(code, without[i]) == 0) return true;
    return false;
}
