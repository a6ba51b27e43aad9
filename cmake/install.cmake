# install() and CPack rules
